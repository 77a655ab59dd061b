// Command events compares what an event costs that two servers with one Redis share: publishers send it to one server
// over HTTP, and subscribers get it from the other one by server-sent events.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"
)

// A row is a load. With one publisher, each event is published when the event before has arrived.
type row struct{ subscribers, publishers, events, channels int }

var rows = []row{{1, 1, 5000, 1}, {1, 8, 20000, 1}, {1, 64, 40000, 1}, {250, 8, 2000, 1}, {100, 64, 20000, 100},
	{1, 64, 20000, 100}}

// A result is the CPU time of the servers and of Redis, and how long events took.
type result struct {
	near, far, redis time.Duration // CPU time
	p50, p99         time.Duration
	lost             int
}

func (r result) cpu() time.Duration { return r.near + r.far + r.redis }

func main() {
	rounds := flag.Int("rounds", 3, "measurements of each server for each load, of which the one with the least CPU time counts")
	servers := flag.Int("servers", 2, "number of servers; those after the second have no clients, and their CPU time does not count")
	quick := flag.Bool("quick", false, "a tenth of the events, one round")
	flag.Parse()
	if *quick {
		*rounds = 1
	}
	if err := run(*rounds, *servers, *quick); err != nil {
		fmt.Fprintln(os.Stderr, "events:", err)
		os.Exit(1)
	}
}

func run(rounds, servers int, quick bool) error {
	fmt.Println("| subscribers, publishers, events, channels | server | CPU s | us each | publishers' server | subscribers' " +
		"server | Redis | p50 ms | p99 ms | lost |\n|---|---|---|---|---|---|---|---|---|---|")
	for _, load := range rows {
		if quick {
			load.events /= 10
		}
		best := map[string]result{}
		for range rounds {
			for _, k := range kinds {
				if k.missing() {
					continue
				}
				got, err := measure(k, load, servers)
				if err != nil {
					return fmt.Errorf("%s: %w", k.name, err)
				}
				if least, known := best[k.name]; !known || got.cpu() < least.cpu() {
					best[k.name] = got
				}
			}
		}
		for _, k := range kinds {
			if r, measured := best[k.name]; measured {
				each := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(load.events) }
				ms := func(d time.Duration) float64 { return d.Seconds() * 1000 }
				fmt.Printf("| %d, %d, %d, %d | %s | %.2f | %.0f | %.0f | %.1f | %.0f | %.1f | %.1f | %d |\n", load.subscribers,
					load.publishers, load.events, load.channels, k.name, r.cpu().Seconds(), each(r.cpu()), each(r.near),
					each(r.far), each(r.redis), ms(r.p50), ms(r.p99), r.lost)
			}
		}
	}
	for _, k := range kinds {
		if k.missing() {
			fmt.Printf("left out, not installed: %s\n", k.name)
		}
	}
	return nil
}
