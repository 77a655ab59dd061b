package static

import "fapws/runtime/filter/compress"

// coding is a content coding in which a file may lie beside the original, or
// be made here.
type coding = compress.Coding

const (
	identity = compress.Identity
	gzipped  = compress.Gzip
	zstd     = compress.Zstd
	brotli   = compress.Brotli
	codings  = compress.Codings
)

// suffixes are appended to a file's name to find a variant.
var suffixes = [codings]string{"", ".gz", ".zst", ".br"}

// accepted reads the client's preferences. Several fields are one list.
func accepted(req *Request) compress.Accept {
	a := compress.NewAccept()
	anyField(req, "accept-encoding", func(value []byte) bool {
		a.Add(value)
		return false
	})
	return a
}

// choose returns the representation that the client prefers. A variant on disk goes before one that would have to be
// made.
func (v *variants) choose(req *Request, fields *fields) *representation {
	if !fields.acceptEncoding {
		return v[identity]
	}
	var there, possible compress.Set
	some := false
	for c := gzipped; c < codings; c++ {
		if v[c] != nil {
			there[c], possible[c], some = !v[c].made, v[c].made, true
		}
	}
	if !some {
		return v[identity]
	}
	accept := accepted(req)
	if c := accept.Choose(&there); c != identity {
		return v[c]
	}
	return v[accept.Choose(&possible)]
}
