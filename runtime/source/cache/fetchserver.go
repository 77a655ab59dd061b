package cache

import (
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
)

// A fetch is the Server of its origin's exchange. It answers for the client that has asked for the page, if that is still there.

// InTurn implements exchange.Server.
func (f *fetch) InTurn() bool { return f.client == nil || f.client.Server.InTurn() }

// AwaitTurn implements exchange.Server.
func (f *fetch) AwaitTurn() {
	f.awaits = true
	f.client.Server.AwaitTurn()
}

// Keep implements exchange.Server.
func (f *fetch) Keep() {
	if f.client != nil {
		f.client.Server.Keep()
	}
}

// WaitsForClient implements exchange.Server: a recorded answer does not wait.
func (f *fetch) WaitsForClient() bool {
	return f.passes && f.client != nil && f.client.Server.WaitsForClient()
}

// Deferred implements exchange.Server. Other clients want the page, however slow its own one is.
func (f *fetch) Deferred() { f.origin.Source.(exchange.Pacer).Resume(&f.origin) }

// Credit implements exchange.Server: the request has no body.
func (f *fetch) Credit(int64) {}

// HasPage implements exchange.Server.
func (f *fetch) HasPage(status int) bool { return f.client != nil && f.client.Server.HasPage(status) }

// Beside implements exchange.Server.
func (f *fetch) Beside(work func(), done func(gone bool)) {
	f.source.pages.host.Beside(work, func(bug bool) {
		if bug {
			f.Reply(exchange.Reply{Status: 500})
			return
		}
		done(f.client == nil && len(f.waiting) == 0)
	})
}

// Decline implements exchange.Server: routing has ended.
func (f *fetch) Decline(string) bool { return false }

// Wall implements exchange.Server.
func (f *fetch) Wall() int64 { return f.source.pages.host.Wall() }

// Log implements exchange.Server.
func (f *fetch) Log(level logfile.Level, line string) {
	if f.client == nil {
		f.source.pages.host.Log(level, line)
		return
	}
	f.client.Server.Log(level, line)
}

// NoteFile implements exchange.Server.
func (f *fetch) NoteFile(root string, path []byte) {
	if f.client != nil {
		f.client.Server.NoteFile(root, path)
	}
}
