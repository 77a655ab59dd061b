// Package pool starts workers, which are processes that serve, and keeps
// them in number and in health. It owns the listening sockets, so that workers
// come and go without any client noticing; it runs no Python and serves nothing.
//
// A worker is the same program, started with the same arguments and one end of
// a Channel. What happens is decided on one goroutine, that of Run: signals,
// timers, messages and ends of workers all come to it as functions.
//
// The supervising process imports it to run one, and a worker for its end of the channel.
package pool
