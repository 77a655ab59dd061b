// Package plan settles what a process serves, from the command line and the configuration file, before anything is
// loaded; loads the applications; and builds the sites from the configuration file and the tables of paths. Everything that
// serves or inspects an application starts here, so packages command, worker and supervisor import it. Load
// and the functions before it must be called on the main thread. Start reading at plan.go; application.go holds
// pybridge.Handler to app.Interpreter at compile time.
//
// load.go reads files of environment variables, as --env-file of flask, uvicorn and docker name them: NAME=value, with export in front
// or not, and comments. ${NAME} stands for an earlier variable, except in single quotes, ${NAME:-default} for default
// if that variable is unset or empty, and ${NAME:+text} for text if it is not; without the colon, an empty variable is
// one that is set. A quoted value may span lines.
//
// Every mistake in the file is collected, and check builds what else can be built to find more. Routes come first in
// the table of a host, then the files of its root, which may decline (exchange.Optional), then the application. A
// route to the application that the host has anyway stays in its place (Mount.Within), so that a cache or a password
// can be for a part of it; another one is mounted at the prefix.
//
// Without an application no Python is initialized: 6 MB, where a hello has 11. Python has to start on the thread where
// it will run, so inline mode has to be known before the script runs: settings/peek.go looks for THREADS = 0 in its
// text, and Plan.ReadScript compares afterwards. Workers read the file by themselves, so a bad file is a generation that
// does not load. The supervisor reads it again only to tell which settings take a restart.
//
// # The application
//
// findApplication finds what APP names: a script, a module or an object in one. It reads the source of the
// application where it can, because some decisions precede Python: whether the script has PATHS, and so whether it is
// run as __main__ or imported. It starts no Python; contrib/fapws/_load.py resolves names later.
//
// # Sites
//
// readSites turns the hosts and routes of the configuration file, and whatever the command line names to be
// served, into the []exchange.Site of a server. This part knows no Python: it gets a function that loads
// applications.
//
//   - config.go: the top of the file, in addition to settings.
//   - host.go: the tables [[host]] and [[host.route]], one field for each key. Decoding checks types and
//     names; an unknown key is found there.
//   - keys.go: types of fields for which settings has no kind, and the description of all keys.
//   - build.go: Build makes the sites; it names all mistakes, each with file and line. Built has what they need while
//     they serve.
//   - Files for the kinds of routes (files.go, cgi.go; kinds.go has the small ones) and for the rules that
//     go with any of them (rules.go, logs.go).
//
// To add a kind of route, write a function of the type kind.build and name it in kinds (host.go).
// Responders are mounted with builder.responder. A rule that goes with every kind is put on the mounts of a route in
// builder.rules (rules.go).
//
// # Logs
//
// A Logger writes lines to standard error or to the file that takes its
// place, and LogFiles are the access logs and the error logs of hosts. Lines of the error log look like Apache's, those
// on standard error are shorter. Package runtime/logfile writes and rotates the files, and
// formats the lines of requests. Packages worker, supervisor, plan and command use it; a Logger is safe for
// concurrent use.
package plan
