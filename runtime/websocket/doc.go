// Package websocket reads and writes the WebSocket protocol (RFC 6455, with permessage-deflate, RFC 7692) over byte
// slices, from the side of the server. It does no I/O and starts no goroutine. Package live has the
// behavior of a connection; package source/proxy uses the handshake.
//
// Handshake: Check and AcceptKey. Reading: a Decoder for each connection, and an Inflater that many of them share.
// Writing: AppendFrame, AppendClose and a Deflater. Values may be used by one goroutine at a time. Fuzz tests compare
// frames that are cut anywhere with whole ones, and with gobwas/ws; package wstest has cases of the Autobahn suite.
//
// Compression is agreed on without context takeover on either side: a window for each connection would be 32 KiB for
// reading and a megabyte for writing. So one Inflater and one Deflater serve all connections of a loop. Messages
// below 256 bytes are sent as they are, and so are those above 1 MiB, because the loop would stand still. Inflating
// stops at --ws-max-size.
package websocket
