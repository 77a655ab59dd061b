// Package conn has connections below the protocols that they speak: descriptors, input that is read or left in the
// kernel, output that waits for room, files that are sent from disk, deadlines, and the ways in which a connection
// ends. It knows nothing of HTTP: a Protocol gets the bytes that have arrived.
//
// A Set is the connections of an event loop, with the memory that they share. Everything here must be called on that
// loop. Start reading at Conn and Protocol; package protocol/http1 implements Protocol for HTTP/1.
//
//   - Input is given to the Protocol as it arrives; Keep keeps the rest that it cannot use now. A paused connection
//     is not read: further input stays in the kernel, whose window then stops the client. Pausing needs no system
//     call.
//   - Output that is ready at once is gathered (Set.Buf), for one connection at a time, and leaves with one system
//     call for each batch of events. Bytes that a socket does not take become a transfer (Queue), and the next
//     response waits until it has ended.
//   - A transfer is written by the loop when the socket has room, up to 1 MiB in a turn: bytes with send, files with
//     sendfile. So a slow client needs neither another descriptor nor a goroutine.
//
// # Virtual connections
//
// A stream of HTTP/2 may become a connection of another protocol (RFC 8441). For that protocol it is a Conn like others, with a transport
// but without a socket: conn.go says what its transport has to do. Its output is gathered for the connection that carries it.
//
// # Files
//
// A disk must not stop the loop. Before each 2 MiB of a file the loop asks the kernel whether they are in memory
// (preadv2 with RWF_NOWAIT). If they are not, or the kernel cannot tell, the descriptor of the connection is lent to
// a goroutine, which calls sendfile once. The loop reads from the connection meanwhile, so it notices a client that
// disconnects, and its further input is bounded as always. When the connection closes before its transfer has ended,
// because the client has shut down its sending side, the descriptor stays open until then, and the client still gets
// the rest.
//
// Sending files that are in memory on the loop costs the same CPU as goroutines with descriptors of their own did (1
// MiB to 16 or 64 connections: 0.95 to 1.06 times, in interleaved rounds). With nginx a gigabyte for slow readers
// compares at 0.75 to 1 of its requests for each second of CPU (./build.sh bench): both need about 40 µs for a
// mebibyte, of which the kernel's handling of pages is 92 %.
package conn
