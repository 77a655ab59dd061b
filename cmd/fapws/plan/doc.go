// Package plan settles what a process serves, from the command line and the configuration
// file, before anything is loaded; loads the applications; and builds the sites of package
// site from what they left. Everything that serves or inspects an application starts here, so
// packages command, inspect, worker and supervisor import it. Load and the functions before it
// belong to the main thread.
package plan
