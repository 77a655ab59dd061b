package runtime

import (
	"context"
	"errors"
	"testing"

	"fapws/runtime/checktest"
	"fapws/runtime/exchange"
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
