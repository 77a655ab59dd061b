// Package keyreader reads private keys for a supervisor that has given up root (--user): a process of its own stays
// root, and reads the files that were named when it was started, and no others, whenever the supervisor asks. So keys
// that only root may read, as certbot keeps them, can be replaced while the server runs. There is no such process if
// the user of the server may read the files.
//
// Start is called while the process is root; a Reader is for one goroutine at a time. Run is the life of the other
// process. It ends when the supervisor does, and no signal ends it before: those of a terminal or a service manager
// are for the supervisor. Start reading at keyreader.go.
package keyreader
