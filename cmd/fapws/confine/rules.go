package confine

import "path/filepath"

// Rules contains the permissions of a process after EnterSandbox. A path means the file or directory that exists
// when EnterSandbox is called, and for everything below it. Missing paths are ignored.
type Rules struct {
	Read  []string
	Write []string
	Exec  []string

	Connect []uint16
	Bind    []uint16

	// Programs allows the process to read and run the programs that are installed on the system, because the server
	// runs programs (CGI, PHP).
	Programs bool

	// Unix allows the process to use all unix sockets, because the kernel cannot restrict them to a list. The process
	// can then ask a service manager or container engine to start programs outside the sandbox.
	Unix bool

	// AbstractSockets allows connections to abstract unix sockets, whose names begin with "@".
	AbstractSockets bool
}

func (r *Rules) executes() bool { return r.Programs || len(r.Exec) > 0 }

// SandboxVariable is the environment variable that contains the path of the sandbox's temporary directory. The
// supervisor sets the variable for the processes that will enter the sandbox, and for the supervisor that replaces it
// in an upgrade.
const SandboxVariable = "_FAPWS_SANDBOX_TMP"

// libraries lists directories that contain shared libraries, Python's standard library, and data such as time zones and
// media types.
var libraries = []string{
	"/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64",
	"/usr/share", "/usr/local/share",
}

// readable lists the paths that Python and the C library may open at any time. The list can contain /proc, because
// Landlock hides most of /proc/PID for processes outside the sandbox.
var readable = []string{
	"/proc",
	"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom",
	"/etc/ld.so.cache", "/etc/localtime", "/etc/timezone", "/etc/mime.types", "/etc/locale.alias", "/etc/os-release",
	"/etc/passwd", "/etc/group", "/etc/hostname",
	"/etc/hosts", "/etc/host.conf", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services",
	"/etc/protocols",
	"/run/systemd/resolve", "/run/NetworkManager/resolv.conf", "/run/resolvconf", // targets of /etc/resolv.conf
	"/etc/ssl/openssl.cnf", "/etc/ssl/certs", "/etc/ca-certificates", "/etc/pki/tls", "/etc/pki/ca-trust",
}

var devices = []string{"/dev/null", "/dev/zero", "/dev/full"}

var programs = []string{
	"/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/libexec", "/usr/local/bin", "/usr/local/sbin", "/usr/local/libexec",
	"/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib", "/usr/share", "/usr/local/share",
	"/etc/alternatives", "/etc/php", "/etc/perl",
}

// loaders returns the paths of the dynamic loaders, which the kernel runs with each program.
func loaders() (paths []string) {
	for _, pattern := range []string{"/lib*/ld-*.so*", "/usr/lib*/ld-*.so*", "/lib/*/ld-*.so*"} {
		found, _ := filepath.Glob(pattern)
		paths = append(paths, found...)
	}
	return paths
}
