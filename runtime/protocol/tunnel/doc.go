// Package tunnel passes bytes between a client and an upstream on the event loop: WebSockets behind a proxy. It knows
// nothing of HTTP; package sites makes a tunnel when an upstream has answered 101 (sites/tunnel.go,
// source/proxy/upgrade.go). Start reading at Link, which is the protocol of a connection that has become a tunnel.
//
// A tunnel has a descriptor for each side and, while nothing waits, no buffer and no goroutine. It reads into memory
// that all tunnels of a loop share, and writes the bytes to the other side at once. Bytes for which the other side
// has no room are kept, up to 64 KiB, and nothing more is read until that is written: a side that reads slowly slows
// down the side that writes.
//
// Each direction ends by itself: when one side has sent its last byte, the other one is shut down for writing once it
// has been sent everything. The tunnel is over when both directions are; a side whose peer has shut down has 30
// silent seconds for a farewell. An upstream that closes while the client is sending resets its connection; the bytes
// that it had sent before reach the client first.
//
// Tunnels count for --max-clients, and not for the places of responders. A side that takes nothing for
// --write-timeout ends with RST. Tunnels stay with their worker at a reload, are closed at the end of
// --graceful-timeout, and have one line in the access log, when they end.
//
// # Measured
//
// On a busy machine, in brackets to an upstream with TLS: idle tunnels 2 KiB each (8; nginx 1.22: 18), a GiB to the
// client 0.16 s of CPU (0.55), a message of 64 bytes and its echo 5 µs of CPU in 64 tunnels at once (8), and 10 in
// one alone (14). With two goroutines for each tunnel it was 18 KiB (34), 0.22 s (0.66), 8 µs (13) and 12 (20).
// splice(2) would save 0.1 s of CPU for each GiB, and needs a pipe for each direction that waits; messages of
// WebSockets are small, and TLS cannot use it.
package tunnel
