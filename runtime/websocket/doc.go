// Package websocket implements the server side of the WebSocket protocol (RFC 6455), with the extension
// permessage-deflate (RFC 7692), on byte slices. The package does no I/O and starts no goroutine. Package live
// implements the behavior of a connection; package source/proxy uses the handshake.
//
// For the handshake, call Check and AcceptKey. To read, use a Decoder for each connection, and an Inflater that many
// connections can share. To write, use AppendFrame, AppendClose and a Deflater. Values are not safe for concurrent use.
// Package wstest contains cases from the Autobahn test suite.
//
// Compression is negotiated without context takeover, because each connection would need a window of 32 KiB for reading
// and about 1 MiB for writing. One Inflater and one Deflater serve all connections of a loop. Messages below 256 bytes
// do not get shorter, and compressing messages above 1 MiB would block the loop, so both are sent uncompressed.
// Decompression stops at --ws-max-size.
package websocket
