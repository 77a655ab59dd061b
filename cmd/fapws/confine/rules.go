package confine

import "path/filepath"

// Rules are the permissions of a process after EnterSandbox. A path means the file or directory at the time of the call
// and everything below. Missing paths are ignored.
type Rules struct {
	Read  []string
	Write []string
	Exec  []string

	Connect []uint16
	Bind    []uint16

	// Programs allows running and reading the programs of the system, because the server runs programs (CGI, PHP).
	Programs bool

	// Unix allows unix sockets. The kernel cannot restrict them to a list, so a service manager or container engine may
	// start programs outside of the sandbox for any client.
	Unix bool

	// AbstractSockets allows connections to unix sockets with a name that begins with "@".
	AbstractSockets bool
}

func (r *Rules) executes() bool { return r.Programs || len(r.Exec) > 0 }

// SandboxVariable names the temporary directory in the environment of processes that will enter the sandbox, and of the
// successor of a supervisor.
const SandboxVariable = "_FAPWS_SANDBOX_TMP"

// libraries are directories of shared libraries, of Python's standard library and of data: time zones, media types.
var libraries = []string{
	"/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64",
	"/usr/share", "/usr/local/share",
}

// readable lists the paths that Python and the C library may open at any time. /proc shows little about processes
// outside the sandbox, which Landlock treats like processes of another user.
var readable = []string{
	"/proc",
	"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom",
	"/etc/ld.so.cache", "/etc/localtime", "/etc/timezone", "/etc/mime.types", "/etc/locale.alias", "/etc/os-release",
	"/etc/passwd", "/etc/group", "/etc/hostname",
	"/etc/hosts", "/etc/host.conf", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services",
	"/etc/protocols",
	"/run/systemd/resolve", "/run/NetworkManager/resolv.conf", "/run/resolvconf", // where /etc/resolv.conf leads to
	"/etc/ssl/openssl.cnf", "/etc/ssl/certs", "/etc/ca-certificates", "/etc/pki/tls", "/etc/pki/ca-trust",
}

var devices = []string{"/dev/null", "/dev/zero", "/dev/full"}

var programs = []string{
	"/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/libexec", "/usr/local/bin", "/usr/local/sbin", "/usr/local/libexec",
	"/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib", "/usr/share",
	"/usr/local/share",
	"/etc/alternatives", "/etc/php", "/etc/perl",
}

// loaders returns the dynamic loaders, which the kernel runs with each program.
func loaders() (paths []string) {
	for _, pattern := range []string{"/lib*/ld-*.so*", "/usr/lib*/ld-*.so*", "/lib/*/ld-*.so*"} {
		found, _ := filepath.Glob(pattern)
		paths = append(paths, found...)
	}
	return paths
}
