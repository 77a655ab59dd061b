// Package listen makes the sockets that clients connect to: TCP, unix sockets with their files, sockets that the
// process was started with, and copies that processes share. It also describes connections before their first
// request: addresses, whether the kernel paces them, and the header of the PROXY protocol. It accepts nothing;
// package accept does. Packages cmd/fapws/bind and pool make their sockets with it. Start reading at listen.go.
//
//   - Workers share one listening socket, made by the supervisor, without SO_REUSEPORT: a connection waits in the one
//     queue for any worker, also while a worker loads or dies.
//   - Sockets are made by hand, so the mode of a unix socket is set before bind and its owner before listen: at no
//     moment can others connect.
//   - Sockets that are passed on stay non-blocking, or the loop of another process could hang in accept.
//   - Where the kernel's congestion control is BBR, which spreads packets over time, connections from the same
//     machine get Reno (tcp.go). A listener on a loopback address has it from the start; elsewhere an accepted
//     connection changes, and keeps a weaker pacing.
package listen
