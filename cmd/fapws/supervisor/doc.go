// Package supervisor implements the supervisor process. The supervisor binds the addresses, gives up root, runs workers
// with package pool, watches files for a reload, and reports the state of all workers to the service manager and on the
// control socket. The supervisor uses the settings of flags, environment and configuration file until the first worker
// reports the settings of the script. The supervisor starts no Python and serves no clients.
//
// Package command calls Run, on the main goroutine. Package pool then decides on a goroutine of its own, because the main
// goroutine is expensive to wake (process.Beside); the functions that package supervisor passes to package pool run there,
// too. With --user, workers start as that user, and the supervisor switches to the user after it has
// bound the addresses. The control socket is created after the first worker has loaded.
//
// # Private keys
//
// A KeyReader reads private keys for a supervisor that has given up root (--user): a separate process stays root and
// reads files for the supervisor, but only files that were named at the start of this process. Keys that only root may
// read, such as the keys that certbot writes, can therefore be replaced while the server runs. The process is not
// started if the user of the server may read the files.
//
// StartKeyReader is called while the supervisor is root. A KeyReader must be used on one goroutine at a time.
// RunKeyReader runs in the separate process, the key reader. The key reader ends with the supervisor, and ignores
// signals of a terminal or a service manager, which are for the supervisor.
package supervisor
