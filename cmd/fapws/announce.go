package main

import (
	"context"
	"net"
	"os"
	"strings"

	"fapws/runtime"
)

// announce tells the service manager that requests are answered, and from now
// on its watchdog for as long as they are.
func (s *service) announce(addrs []net.Addr) {
	s.told(s.notifier.Ready(servingLine(addrs)))
	go s.notifier.Watch(context.Background(), s.server.Ping)
}

// servingLine says in one line where requests are answered.
func servingLine(addrs []net.Addr) string {
	urls := make([]string, len(addrs))
	for i, a := range addrs {
		urls[i], _ = urlsOf(a, nil)
	}
	return "serving " + strings.Join(urls, " ")
}

// withdraw takes back what others know this process by. Any goroutine may call
// it, more than once.
func (s *service) withdraw() {
	if err := s.pid.Load().Remove(); err != nil {
		s.log.log(runtime.LevelWarning, err.Error())
	}
	if socket := s.control.Load(); socket != nil {
		socket.Close()
	}
}

// exit ends the process at once.
func (s *service) exit(code int) {
	s.withdraw()
	os.Exit(code)
}

// told logs a message to the service manager that failed.
func (s *service) told(err error) {
	if err != nil {
		s.log.log(runtime.LevelWarning, "cannot tell the service manager: "+err.Error())
	}
}
