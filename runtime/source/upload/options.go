package upload

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
)

// Options say where uploads go, and how.
type Options struct {
	// Path is a directory, in which clients choose the names of files; or the path of one file, which each upload replaces; or a device
	// or a FIFO, which each upload is written to. It need not exist if its directory does.
	Path string `json:"path"`

	// Descriptor is written to instead, if Path is empty. It is duplicated.
	Descriptor int `json:"descriptor"`

	// Pieces, if not 0, has the handler take the bytes instead, in pieces of that size: see pieces.go.
	Pieces int `json:"pieces"`

	MaxSize   int64   `json:"max_size"`   // bytes of the files of one request; 0: no limit
	MaxActive int     `json:"max_active"` // uploads at the same time; 0: DefaultMaxActive
	Sync      int64   `json:"sync"`       // SyncNone, SyncEnd, or the number of bytes after which they are forced to the disk
	Replace   bool    `json:"replace"`    // files may take the place of others
	Mode      uint32  `json:"mode"`       // permissions of files
	Channel   string  `json:"channel"`    // that events about the progress of uploads are published to; "": none
	Resumable bool    `json:"resumable"`  // by the protocol tus; only for a directory or a file
	Expires   float64 `json:"expires"`    // seconds after which an upload is removed that its client does not continue
	Key       string  `json:"key"`        // proves to the handler that a description is from here, and not from a client
	HandsOn   bool    `json:"hands_on"`   // a handler gets finished uploads, and answers

	// Origins are those of pages that may upload in addition to pages of the same host: "https://example.org". "*": all.
	Origins []string `json:"origins"`

	Root  string                    `json:"-"` // directory that the process enters before it serves (chroot); "": none
	Group *Group                    `json:"-"` // that it becomes one of; nil: none
	Log   func(client, line string) `json:"-"` // for the operator, on any goroutine
}

// Values of Options.Sync.
const (
	SyncNone = -1
	SyncEnd  = 0
)

// Defaults of Options.
const (
	DefaultMaxActive = 16
	DefaultMode      = 0o644
	DefaultExpires   = 24 * time.Hour
)

// ParseOptions reads Options as scripts have them, in JSON. The error is one line.
func ParseOptions(text string) (o Options, err error) {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&o); err != nil {
		return o, fmt.Errorf("options of an upload: %w", err)
	}
	return o, nil
}

func (o *Options) check() error {
	switch {
	case o.Pieces < 0 || o.Pieces > maxPiece || o.Pieces > 0 && !o.HandsOn:
		return fmt.Errorf("pieces must have 1 to %d bytes, and a handler, not %d", maxPiece, o.Pieces)
	case o.Path == "" && o.Descriptor < 0 && o.Pieces == 0:
		return errors.New("neither a path nor a descriptor")
	case o.MaxSize < 0:
		return fmt.Errorf("the maximum size must not be negative: %d", o.MaxSize)
	case o.MaxActive < 0:
		return fmt.Errorf("the maximum of active uploads must not be negative: %d", o.MaxActive)
	case o.Sync < SyncNone || o.Sync > 0 && o.Sync < 4096:
		return fmt.Errorf("sync must be at least 4096 bytes, not %d", o.Sync)
	case o.Mode&^0o777 != 0:
		return fmt.Errorf("mode %o has other bits than permissions", o.Mode)
	case o.Expires < 0 || math.IsNaN(o.Expires) || o.Expires > 10*366*86400:
		return fmt.Errorf("expires must be up to ten years, in seconds, not %v", o.Expires)
	}
	if o.Expires == 0 {
		o.Expires = DefaultExpires.Seconds()
	}
	if o.MaxActive == 0 {
		o.MaxActive = DefaultMaxActive
	}
	if o.Mode == 0 {
		o.Mode = DefaultMode
	}
	return nil
}
