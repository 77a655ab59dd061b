package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	fapws "fapws/runtime"
	"fapws/runtime/runtimetest"
	"fapws/runtime/source/proxy"
	"fapws/runtime/waittest"
)

// tunnel opens one to a server that is given its end of it, and returns the client's.
func tunnel(t *testing.T, o proxy.Options, serve func(c *net.TCPConn, r *bufio.Reader)) (c *net.TCPConn, r *bufio.Reader, logged func() string) {
	t.Helper()
	return tunnelOf(t, o, runtimetest.Config(), serve)
}

// tunnelOf is tunnel with a Config of the server.
func tunnelOf(t *testing.T, o proxy.Options, cfg fapws.Config, serve func(c *net.TCPConn, r *bufio.Reader)) (c *net.TCPConn, r *bufio.Reader, logged func() string) {
	t.Helper()
	var address string
	o.Target, _ = server(t, func(c *net.TCPConn, r *bufio.Reader, _ *http.Request) {
		io.WriteString(c, accepted(key)+"\r\n")
		serve(c, r)
	})
	address, logged = frontOf(t, "/", o, cfg)
	c, r = client(t, address, handshake+"\r\n")
	status(t, r, 101)
	return c, r, logged
}

// A side that breaks ends the other, also one that is held back.
func TestTunnelBreaks(t *testing.T) {
	for _, held := range []bool{false, true} {
		t.Run(map[bool]string{false: "client", true: "client, held back"}[held], func(t *testing.T) {
			t.Parallel()
			ended := make(chan error, 1)
			c, _, _ := tunnel(t, proxy.Options{}, func(c *net.TCPConn, r *bufio.Reader) {
				if held {
					time.Sleep(100 * time.Millisecond)
				}
				_, err := io.Copy(io.Discard, r)
				ended <- err
			})
			if held {
				c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
				c.Write(make([]byte, 64<<20))
			}
			c.SetLinger(0)
			c.Close()
			<-ended
		})
	}
	t.Run("client, before the answer", func(t *testing.T) {
		asked, ended := make(chan bool), make(chan bool)
		url, _ := server(t, func(c *net.TCPConn, r *bufio.Reader, _ *http.Request) {
			close(asked)
			io.Copy(io.Discard, r)
			close(ended)
		})
		address, logged := front(t, "/", proxy.Options{Target: url})
		c, _ := client(t, address, handshake+"\r\n")
		<-asked
		c.SetLinger(0)
		c.Close()
		<-ended
		if said := logged(); said != "" {
			t.Errorf("it is the fault of nobody: %s", said)
		}
	})
	t.Run("server", func(t *testing.T) {
		_, r, logged := tunnel(t, proxy.Options{}, func(c *net.TCPConn, r *bufio.Reader) {
			time.Sleep(20 * time.Millisecond)
			c.SetLinger(0)
		})
		if all, _ := io.ReadAll(r); len(all) > 0 {
			t.Errorf("%q", all)
		}
		waittest.Eventually(t, "a line in the log", func() bool { return strings.Contains(logged(), "WebSocket closed: the upstream broke off") })
	})
}

// A tunnel may be silent for TunnelTimeout, and a side that takes nothing is cut off after WriteTimeout.
func TestTunnelTimeouts(t *testing.T) {
	t.Run("idle", func(t *testing.T) {
		t.Parallel()
		waittest.InItsTime(t, func(timeout time.Duration) (wrong string) {
			ended := make(chan bool)
			c, r, logged := tunnel(t, proxy.Options{TunnelTimeout: timeout}, func(c *net.TCPConn, r *bufio.Reader) {
				io.Copy(c, r)
				close(ended)
			})
			for range 6 { // any byte counts
				time.Sleep(timeout / 4)
				io.WriteString(c, "x")
				if b, err := r.ReadByte(); err != nil || b != 'x' {
					return fmt.Sprint(b, err)
				}
			}
			if all, err := io.ReadAll(r); len(all) > 0 || err != nil {
				t.Errorf("%q, %v", all, err)
			}
			<-ended
			waittest.Eventually(t, "a line in the log", func() bool { return strings.Contains(logged(), "idle timeout of "+timeout.String()) })
			return ""
		})
	})
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		url, _ := server(t, func(c *net.TCPConn, r *bufio.Reader, _ *http.Request) {
			io.WriteString(c, accepted(key)+"\r\n")
			io.Copy(c, r)
		})
		waittest.InItsTime(t, func(timeout time.Duration) (wrong string) { // the timeout is that of the handshake
			address, _ := front(t, "/", proxy.Options{Target: url, TunnelTimeout: -1, Timeout: timeout})
			c, r := client(t, address, handshake+"\r\n")
			if response, err := http.ReadResponse(r, nil); err != nil || response.StatusCode != 101 {
				return fmt.Sprint(response, err)
			}
			time.Sleep(timeout + time.Second)
			io.WriteString(c, "still there")
			reads(t, r, "still there")
			return ""
		})
	})
	t.Run("slow client", func(t *testing.T) {
		t.Parallel()
		waittest.InItsTime(t, func(timeout time.Duration) (wrong string) {
			ended := make(chan bool)
			cfg := runtimetest.Config()
			cfg.WriteTimeout = timeout
			c, r, _ := tunnelOf(t, proxy.Options{}, cfg, func(c *net.TCPConn, r *bufio.Reader) {
				for block := make([]byte, 1<<20); ; {
					if _, err := c.Write(block); err != nil {
						close(ended)
						return
					}
				}
			})
			for range 20 { // it takes something now and then
				time.Sleep(timeout / 15)
				if _, err := io.CopyN(io.Discard, r, 1<<20); err != nil {
					return err.Error()
				}
			}
			<-ended
			c.SetDeadline(time.Now().Add(patience))
			if _, err := io.Copy(io.Discard, r); err == nil {
				t.Error("it looks like the end of what there was")
			}
			return ""
		})
	})
}
