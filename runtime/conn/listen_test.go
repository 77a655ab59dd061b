package conn

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

func TestUsedPortCannotBeSharedWithASecondSocket(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "", "0.0.0.0", "localhost"} {
		ln, err := Listen(host+":0", ListenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		if f, err := ListeningSocket(ln.Addr().String(), ListenOptions{}); !errors.Is(err, unix.EADDRINUSE) {
			t.Errorf("%q: another at the same port: %v, %v", host, f, err)
		}
	}
}
