package conn

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
)

func TestUsedPortCannotBeSharedWithASecondSocket(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "", "0.0.0.0", "localhost"} {
		ln := checktest.Try(Listen(host+":0", ListenOptions{})).Must(t)
		defer ln.Close()
		f, err := ListeningSocket(ln.Addr().String(), ListenOptions{})
		checktest.Truef(t, errors.Is(err, unix.EADDRINUSE), "%q: another at the same port: %v, %v", host, f, err)
	}
}
