package runtime

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"fapws/runtime/auth"
	"fapws/runtime/checktest"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/system"
)

func TestInvalidSubrequestIsAnError(t *testing.T) {
	stopped := errors.New("stopped")
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	for _, test := range []struct {
		name   string
		ctx    context.Context
		depth  int
		target string
		want   error
	}{
		{"too deep", t.Context(), exchange.MaxDepth, "/", exchange.ErrTooDeep},
		{"relative", t.Context(), 0, "a", errBadTarget},
		{"two lines", t.Context(), 0, "/\r\nX-A: 1", errBadTarget},
		{"cancelled", cancelled, 0, "/", context.Canceled},
		{"stopped", t.Context(), 0, "/", stopped},
	} {
		_, err := subrequest(test.ctx, exchange.Origin{Depth: test.depth}, test.target, nil, func(int) error {
			return stopped
		})
		checktest.Truef(t, errors.Is(err, test.want), "%s: %v, want %v", test.name, err, test.want)
	}
}

func TestSubrequestEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, err := subrequest(ctx, exchange.Origin{}, "/", nil, func(fd int) error {
		other, err := system.Conn(fd, "test")
		if err == nil {
			t.Cleanup(func() { other.Close() })
			go func() {
				_, _ = other.Read(make([]byte, 100))
				cancel()
			}()
		}
		return err
	})
	checktest.Truef(t, errors.Is(err, context.Canceled), "%v", err)
}

func mustAuth(t testing.TB) *auth.Basic {
	t.Helper()
	hash := checktest.Try(bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)).Must(t)
	file := filepath.Join(t.TempDir(), "users")
	checktest.Must(t, os.WriteFile(file, append([]byte("ann:"), hash...), 0o600))
	known := checktest.Try(auth.NewUsers(auth.NewChecker(), file, false, nil)).Must(t)
	return checktest.Try(auth.NewBasic("test", known)).Must(t)
}

// If a client with a wrong password has shut down its sending side, it has probably disconnected, so the server closes
// the connection without the usual delay.
func TestHalfClosedConnectionDoesNotWaitForItsWrongPassword(t *testing.T) {
	t.Parallel()
	var answered atomic.Int32
	cfg := Config{Sites: exchange.Config{Answered: []func(*logfile.Entry){func(*logfile.Entry) { answered.Add(1) }}}}
	s := start(t, patient(cfg), &instant{},
		exchange.Mount{Prefix: "/", Rules: mustRules(t, exchange.Rules{Access: mustAuth(t)})})
	for i := range 200 {
		c := s.dial(t)
		password := base64.StdEncoding.EncodeToString(fmt.Append(nil, "ann:wrong", i))
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic %s\r\n\r\n", password)
		c.CloseWrite()
	}
	s.gone(t)
	n := answered.Load()
	checktest.Truef(t, n <= 100, "%d were answered", n)
}

// Try sends a request from the server to itself, without a password and without a header of the PROXY protocol.
func TestRequestOfTheProcessToItselfNeedsNoPassword(t *testing.T) {
	t.Parallel()
	s := start(t, patient(Config{Sites: exchange.Config{ProxyUnix: true, ProxyProtocol: true}}), &instant{},
		exchange.Mount{Prefix: "/", Rules: mustRules(t, exchange.Rules{Access: mustAuth(t)})})
	status, err := s.Try(t.Context(), "/")
	checktest.Truef(t, status == 200 && err == nil, "%v %v", status, err)
}
