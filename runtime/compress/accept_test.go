package compress

import (
	"testing"

	"fapws/runtime/checktest"
	"fapws/runtime/http1"
)

func TestCodingIsChosenByAcceptEncoding(t *testing.T) {
	sets := map[string]CodingSet{"all": {Gzip: true, Zstd: true, Brotli: true}, "made": Made}
	for _, c := range checktest.Cases(t, "testdata/accept.txt", 3) {
		checktest.Equalf(t, chooseCoding(sets[c[0]], []byte(c[1])).String(), c[2], "%q of %s", c[1], c[0])
	}
}

func TestSeveralFieldsAreOneList(t *testing.T) {
	checktest.Equal(t, chooseCoding(Made, []byte("gzip;q=0.5"), []byte("zstd;q=0.1")), Gzip)
}

func TestOnlyCompressibleTypesAndSizesAreCompressed(t *testing.T) {
	for mediaType, want := range map[string]bool{
		"text/html; charset=utf-8": true, "TEXT/plain": true, "application/json": true, "image/svg+xml": true,
		"application/ld+json ; x=y": true, "application/xhtml+xml": true, "font/ttf": true, "application/wasm": true,
		"image/png": false, "application/zip": false, "application/octet-stream": false, "text/event-stream": false,
		"font/woff2": false, "": false, "video/mp4": false,
	} {
		checktest.Equalf(t, Worth(mediaType, 5000), want, "%q", mediaType)
	}
	for size, want := range map[int64]bool{0: false, 1023: false, 1024: true, 8 << 20: true, 8<<20 + 1: false} {
		checktest.Equalf(t, Worth("text/css", size), want, "%d", size)
	}
}

func FuzzAccept(f *testing.F) {
	for _, seed := range []string{"gzip, deflate, br;q=0.5, zstd;q=1.0", "*;q=0", ";;q=", ",", "identity;q=0.000"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		for _, has := range []CodingSet{{}, Made, {Brotli: true}} {
			c := chooseCoding(has, value)
			checktest.Needf(t, c == Identity || has[c], "%q: %v, which there is not", value, c)
		}
	})
}

func chooseCoding(has CodingSet, acceptEncoding ...[]byte) Coding {
	const name = "Accept-Encoding"
	head := []byte(name)
	var fields []http1.Field
	for _, value := range acceptEncoding {
		fields = append(fields, http1.Field{Name: http1.Span{Len: uint32(len(name))},
			Value: http1.Span{Off: uint32(len(head)), Len: uint32(len(value))}})
		head = append(head, value...)
	}
	a := AcceptedBy(head, fields)
	return a.Choose(&has)
}
