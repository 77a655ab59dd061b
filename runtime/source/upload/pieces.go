package upload

import (
	"encoding/json"
	"strings"
	"sync/atomic"

	"fapws/runtime/backend"
)

// maxPiece is the largest piece of Options.Pieces, in bytes.
const maxPiece = 1 << 20

// consumer has the handler take the bytes of files, for memory that is not a file: flash that is erased and written in blocks (MTD). The
// handler is asked with a line of JSON (inquiry) and, behind that, a piece. One upload at a time is under way.
type consumer struct {
	options *Options
	busy    atomic.Bool
}

// inquiry is a question to the handler. contrib/fapws/_upload.py reads it.
type inquiry struct {
	Op   string  `json:"op"`
	ID   string  `json:"id"`  // of the upload
	Key  string  `json:"key"` // Options.Key
	File *stored `json:"file,omitempty"`
}

// The values of inquiry.Op: a file begins, a piece of it, all pieces were taken, there will be no more.
const (
	opBegin = "begin"
	opPiece = "piece"
	opEnd   = "end"
	opAbort = "abort"
)

func (t *consumer) named() bool { return false }

func (t *consumer) begin(w *backend.Response, id string, file stored) (*draft, error) {
	if t.busy.Swap(true) {
		return nil, errBusy
	}
	p := &pieces{w: w, id: id, key: t.options.Key, size: t.options.Pieces, done: func() { t.busy.Store(false) }}
	if err := p.ask(inquiry{Op: opBegin, File: &file}); err != nil {
		p.done()
		return nil, err
	}
	return &draft{pieces: p, options: t.options, hash: newHash()}, nil
}

// pieces gathers the bytes of a file until a piece is full, and gives that to the handler.
type pieces struct {
	w      *backend.Response
	id     string
	key    string
	size   int    // bytes of a piece
	head   int    // bytes of the line before it
	buffer []byte // line and piece
	done   func()
}

// Write implements io.Writer.
func (p *pieces) Write(data []byte) (n int, err error) {
	if p.buffer == nil {
		line, _ := json.Marshal(inquiry{Op: opPiece, ID: p.id, Key: p.key})
		p.buffer = append(append(make([]byte, 0, len(line)+1+p.size), line...), '\n')
		p.head = len(p.buffer)
	}
	for n < len(data) {
		k := min(len(data)-n, p.head+p.size-len(p.buffer))
		p.buffer = append(p.buffer, data[n:n+k]...)
		if n += k; len(p.buffer) == p.head+p.size {
			if err := p.flush(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// flush gives the gathered bytes to the handler.
func (p *pieces) flush() error {
	if len(p.buffer) == p.head {
		return nil
	}
	err := answered(p.w.Ask(p.buffer))
	p.buffer = p.buffer[:p.head]
	return err
}

// end gives the rest to the handler, and tells it that the file is complete.
func (p *pieces) end() error {
	err := p.flush()
	if err == nil {
		err = p.ask(inquiry{Op: opEnd})
	}
	if err != nil {
		p.abort()
		return err
	}
	p.done()
	return nil
}

// abort tells the handler that the rest does not come.
func (p *pieces) abort() {
	_ = p.ask(inquiry{Op: opAbort}) // its own errors are in the log
	p.done()
}

func (p *pieces) ask(what inquiry) error {
	what.ID, what.Key = p.id, p.key
	line, _ := json.Marshal(what)
	return answered(p.w.Ask(append(line, '\n')))
}

// answered returns the error of a handler: its client gets that.
func answered(status int, text []byte) error {
	if status >= 200 && status < 300 {
		return nil
	}
	line, _, _ := strings.Cut(strings.ToValidUTF8(string(text), "?"), "\n")
	if status < 400 || strings.Contains(line, "<") { // not a refusal, or a page: its status says enough
		line = ""
	}
	return &refusal{status: max(status, 400), text: line}
}
