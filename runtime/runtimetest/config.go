package runtimetest

import (
	"testing"

	"fapws/cmd/fapws/settings"
	"fapws/runtime"
	"fapws/runtime/checktest"
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/source/app"
)

// Config returns the Config of a server without settings of a user.
func Config() runtime.Config {
	set, err := settings.New(nil, func(string) (string, bool) { return "", false })
	if err != nil {
		panic(err)
	}
	conf, err := set.Config()
	if err != nil {
		panic(err)
	}
	return conf.Server
}

// Serve starts a server of mounts on a free port, and returns the server and its address.
func Serve(t testing.TB, cfg runtime.Config, h app.Interpreter, mounts ...exchange.Mount) (s *runtime.Server,
	address string) {
	t.Helper()
	s = checktest.Try(runtime.New(cfg)).Must(t)
	ln := checktest.Try(conn.Listen("127.0.0.1:0", conn.ListenOptions{})).Must(t)
	checktest.Must(t, s.Serve([]*conn.Listener{ln}, []exchange.Site{{Table: mounts}}, h))
	t.Cleanup(func() { s.Close() })
	return s, ln.Addr().String()
}
