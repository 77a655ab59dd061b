package runtime

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkEvents measures the CPU of the server's loop, which has a separate thread, for an event to one of many
// subscribers, which read between the bursts.
func BenchmarkEvents(b *testing.B) {
	for _, bench := range []struct{ clients, burst int }{{1000, 1}, {1000, 20}, {9000, 1}, {9000, 5}} {
		b.Run(fmt.Sprintf("%d subscribers, %d at once", bench.clients, bench.burst), func(b *testing.B) {
			cfg := channelConfig()
			cfg.Channels.PerAddress, cfg.Accept.MaxClients = bench.clients, 2*bench.clients
			s := serve(b, cfg, newApp(true, listening))
			clients := many(b, s, bench.clients)
			defer func() {
				for _, c := range clients {
					unix.Close(c.fd)
				}
			}()
			buf := make([]byte, 16<<10)
			text := strings.Repeat("x", 100)
			usage := func() (u syscall.Rusage) {
				s.Do(func() { syscall.Getrusage(1, &u) }) // RUSAGE_THREAD
				return u
			}
			var spent int64
			for b.Loop() {
				before := usage()
				for range bench.burst {
					s.publish(b, "news", text)
				}
				for s.loop.subscribers.Waiting() > 0 {
					time.Sleep(time.Millisecond)
				}
				after := usage()
				spent += cpu(&after) - cpu(&before)
				for _, c := range clients {
					for got := 0; got < bench.burst*len(text); {
						got += c.read(buf)
					}
				}
			}
			b.ReportMetric(float64(spent)/float64(b.N*bench.burst*bench.clients), "cpu-ns/event")
		})
	}
}
