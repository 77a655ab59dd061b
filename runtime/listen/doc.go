// Package listen makes the sockets that clients connect to: TCP, unix sockets with their files, sockets that the
// process was started with, and copies that processes share. It also describes connections before
// their first request: addresses, whether the kernel paces them, and the header of the PROXY protocol. It accepts nothing.
package listen
