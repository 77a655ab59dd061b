// Package supervisor is the process of a supervisor: it binds the addresses, gives up root, keeps workers with
// package pool, watches files for a reload, and tells the service manager and the control socket how all of them are.
// It knows the settings as flags, environment and configuration file have them, until the first worker reports those
// of the script. It starts no Python and answers no client, except with the page for a failed load under --dev, for
// which a worker without an application serves (control.go).
//
// Package command calls Run, on the main goroutine; the functions that it gives to package pool run on that
// goroutine, too. With --user, workers start as that user, and the supervisor follows when it has bound. The control
// socket is made after the first worker has loaded. Start reading at process.go.
//
// # Private keys
//
// A KeyReader reads private keys for a supervisor that has given up root (--user): a process of its own stays
// root, and reads the files that were named when it was started, and no others, whenever the supervisor asks. So keys
// that only root may read, as certbot keeps them, can be replaced while the server runs. There is no such process if
// the user of the server may read the files.
//
// StartKeyReader is called while the process is root; a KeyReader is for one goroutine at a time. RunKeyReader is the life of the other
// process. It ends when the supervisor does, and no signal ends it before: those of a terminal or a service manager
// are for the supervisor. Start reading at KeyReader (certificates.go).
package supervisor
