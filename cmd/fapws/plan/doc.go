// Package plan settles what a process serves, from the command line and the configuration file, before anything is
// loaded; loads the applications; and builds the sites of package site from their tables of paths. Everything that
// serves or inspects an application starts here, so packages command, inspect, worker and supervisor import it. Load
// and the functions before it must be called on the main thread. Start reading at plan.go; mounts.go holds
// pybridge.Handler to app.Handler at compile time.
//
// envfile.go reads files of environment variables, as --env-file of flask, uvicorn and docker name them: NAME=value, with export in front
// or not, and comments. ${NAME} stands for an earlier variable, except in single quotes; a quoted value may span lines.
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
package plan
