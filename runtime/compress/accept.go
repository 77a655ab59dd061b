package compress

import (
	"bytes"
	"cmp"

	"fapws/runtime/http1"
)

type Coding uint8

// If two codings have equal weights, the later of these constants is preferred.
const (
	Identity Coding = iota
	Gzip
	Zstd
	Brotli
	Codings
)

var names = [Codings]string{"identity", "gzip", "zstd", "br"}

func (c Coding) String() string { return names[c] }

// A CodingSet is a set of codings that always contains Identity.
type CodingSet [Codings]bool

// Made contains the codings that Compress supports.
var Made = CodingSet{Gzip: true, Zstd: true}

// Accepted contains the weights from the Accept-Encoding fields of a request. The zero value is for a request without
// Accept-Encoding, and accepts no coding except Identity.
type Accepted struct {
	// 1 plus the weight in thousandths; 0 if the client does not name the coding
	weights [Codings]int16
	others  int16 // like an element of weights, for "*"
}

func AcceptedBy(head []byte, fields []http1.Field) Accepted {
	var a Accepted
	for value := range http1.Values(head, fields, "accept-encoding") {
		for item := range bytes.SplitSeq(value, []byte{','}) {
			name, weight := http1.Weighted(item)
			for c, known := range names {
				if http1.EqualFold(name, known) || c == int(Gzip) && http1.EqualFold(name, "x-gzip") { // RFC 9110 §8.4.1.3
					a.weights[c] = weight + 1
				}
			}
			if string(name) == "*" {
				a.others = weight + 1
			}
		}
	}
	return a
}

// Choose returns the coding with the highest weight in a set of codings. If weights are equal, Choose prefers brotli to
// zstd, and zstd to gzip. If no other coding is acceptable, Choose returns Identity, even to a client that excludes
// Identity. RFC 9110 §12.5.3 permits this, and a 406 would not help the client.
func (a *Accepted) Choose(has *CodingSet) Coding {
	// Identity without a weight has the weight 0 here, so every acceptable coding is preferred to it.
	best, bestWeight := Identity, a.weights[Identity]
	for c := Gzip; c < Codings; c++ {
		weight := cmp.Or(a.weights[c], a.others)
		if has[c] && weight > 1 && weight >= bestWeight {
			best, bestWeight = c, weight
		}
	}
	return best
}
