package ctl

import "fmt"

const Help = `Usage: fapws ctl [--pid N | --socket FILE] COMMAND   control a running server
  stack                  show active requests and their Python stacks
  status                 show addresses, workers and memory; --json for programs
  top                    show requests per second, their times, active requests,
                         threads, connections and workers, each second; --once
                         for one second; --json for programs
  metrics                print metrics in OpenMetrics format;
                         --plain for the older text format of Prometheus
  purge PATH             remove pages from the cache: /page with any query,
                         /page?a=1 with this one, '/blog/*' by prefix; --tag TAG
                         or --all instead of PATH; --host HOST for one host
  reload                 load the application again; returns when the new code
                         serves, or fails with status 1
  rotate                 compress the log files and start new ones
  stop                   shut down gracefully; returns when the server has ended
  ca                     show the CA of --tls auto: its file, and the
                         fingerprint to compare before a client trusts it

fapws ctl COMMAND --help says more about a command.
` + whichServer

const whichServer = `Without --pid and --socket: the server whose socket FAPWS_CTL_SOCKET names, or
the only server of this user.

Exit status: 0 done; 1 the server does not answer, or refuses; 2 usage error.
`

var details = map[Command][2]string{
	Stack: {"", `Shows each active request with its client, its age, and the Python stack of the
thread or coroutine that works on it: the line on which a request hangs.
`},
	Status: {" [--json]", `Shows the version, the addresses, the application, and the workers with their
memory, requests and age.

  --json   print one line of JSON, for programs
`},
	Top: {" [--once] [--json]", `Shows requests per second, their times, active requests and their lines,
threads, connections and workers, each second. At a terminal, responses with 5xx
and requests beyond their timeout are red, unless NO_COLOR is set, and keys are:

  q   quit
  s   sort the routes by the next column: requests per second, errors,
      95th percentile, requests
  p   pause

  --once   print what happens in one second, and end
  --json   print a line of JSON each second, for programs
`},
	Metrics: {" [--plain]", `Prints the metrics of all workers in OpenMetrics format, as --status serves
them.

  --plain   print the older text format of Prometheus
`},
	Purge: {" WHAT [--host HOST]", `Removes pages from the cache in memory, and prints their number.
WHAT is one of:

  /page         this path with any query
  /page?a=1     this path with this query
  '/blog/*'     paths with this prefix
  --tag TAG     pages with this tag in Fapws-Cache-Tags
  --all         every page

  --host HOST   only pages of this host
`},
	Reload: {"", `Loads the application again, as the signal HUP does, and returns when the new
code serves. If it does not load, the old code stays, and the status is 1.
`},
	Rotate: {"", `Compresses the log files and starts new ones.
`},
	Stop: {"", `Stops the server: it accepts no connections, and active requests have
--graceful-timeout to end. Returns when the server has exited.
`},
	CA: {"", `Shows the CA of --tls auto: the file of its certificate, and its SHA-256
fingerprint, to compare before a client trusts it.
`},
}

func help(c Command) string {
	d, found := details[c]
	if !found {
		return Help
	}
	return fmt.Sprintf("Usage: fapws ctl [--pid N | --socket FILE] %s%s\n%s\n%s", c, d[0], d[1], whichServer)
}
