// Package pidfile keeps the number of this process in a file, where scripts and service managers look for the process
// to signal. A file of another process that runs is left alone. Package presence uses it.
package pidfile
