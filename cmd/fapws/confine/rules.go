package confine

// Rules are what a process may do after Enter. A path stands for the file or directory that has it at that time, with
// everything below; a missing one is left out.
type Rules struct {
	Read  []string // to be opened and listed
	Write []string // also to be changed, created and removed
	Exec  []string // programs, or directories of them

	Connect []uint16 // TCP ports of other servers
	Bind    []uint16 // TCP ports to listen on

	// Programs says that the server itself runs programs (CGI, PHP): those of the system may be run and read.
	Programs bool

	// Unix says that unix sockets may be made. The kernel cannot tell those of a list from others: a service manager or a
	// container engine may start programs outside of the sandbox for any client.
	Unix bool

	// AbstractSockets says that unix sockets with a name beginning with "@" may be connected to.
	AbstractSockets bool
}

// executes reports whether programs can be run at all.
func (r *Rules) executes() bool { return r.Programs || len(r.Exec) > 0 }

// SandboxVariable names the directory of temporary files in the environment of processes that are to enter the sandbox, and of the
// program that takes the place of a supervisor.
const SandboxVariable = "FAPWS_SANDBOX_TMP"
