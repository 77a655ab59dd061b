// Package listen makes the sockets that clients connect to: TCP, unix sockets with their files, sockets that the
// process was started with, and copies that processes share. It also has what is known of a connection before its first
// byte counts: addresses, whether the kernel paces it, and the header of the PROXY protocol. It accepts nothing.
package listen
