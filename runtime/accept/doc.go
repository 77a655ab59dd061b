// Package accept takes connections from listening sockets on the event loop, as long as there is room for them.
//
// A listener is a descriptor of the loop like any other. Acceptor takes up to 64 connections from its queue before
// other descriptors have their turn. Connections beyond Config.MaxClients stay in the queue of the kernel, in order, or
// are rejected with 503. A process that is busy leaves connections to others that share the listener (balance.go).
//
// When accept fails for want of descriptors or memory (EMFILE), Acceptor tries again 20 times a second, and as soon
// as a connection closes. After five seconds without success it answers waiting clients with 503, one at a time,
// through a descriptor that it keeps for this purpose (limits.go): a client that gets an answer need not wait for
// its own timeout.
//
// A new connection for each request takes accept4, recv, send and close, and with threads often epoll_ctl twice.
//
// Package runtime is its Host (runtime/accept.go), and counts connections. The methods must be called on the loop, unless their comments
// say otherwise. Start reading at Host.
package accept
