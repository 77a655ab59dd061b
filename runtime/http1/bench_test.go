package http1

import "testing"

const helloRequest = "GET / HTTP/1.1\r\nHost: localhost:8888\r\n\r\n"

const wrkRequest = "GET /hello HTTP/1.1\r\nHost: 127.0.0.1:8888\r\nUser-Agent: wrk/4.1.0\r\nAccept: */*\r\n\r\n"

const browserRequest = "GET /articles/2024/view?id=42&lang=en HTTP/1.1\r\n" +
	"Host: www.example.org\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" +
	"Accept-Language: en-US,en;q=0.5\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
	"Referer: https://www.example.org/articles/2024/index\r\n" +
	"Connection: keep-alive\r\n" +
	"Cookie: session=8f14e45fceea167a5a36dedd4bea2543; theme=dark; consent=yes\r\n" +
	"Upgrade-Insecure-Requests: 1\r\n" +
	"Sec-Fetch-Dest: document\r\n" +
	"Sec-Fetch-Mode: navigate\r\n" +
	"Sec-Fetch-Site: same-origin\r\n\r\n"

const postRequest = "POST /submit HTTP/1.1\r\nHost: localhost:8888\r\nContent-Type: application/json\r\nContent-Length: 4096\r\n\r\n"

func BenchmarkParse(b *testing.B) {
	for _, c := range []struct{ name, head string }{
		{"hello1", helloRequest}, {"hello3", wrkRequest}, {"post", postRequest}, {"browser12", browserRequest},
	} {
		b.Run(c.name, func(b *testing.B) {
			var r Request
			lim := &DefaultLimits
			buf := []byte(c.head)
			b.ReportAllocs()
			b.SetBytes(int64(len(buf)))
			for b.Loop() {
				if _, err := r.Parse(buf, lim); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkParseByteWise feeds a head of the largest size one byte at a time:
// the time per byte must not grow with the size.
func BenchmarkParseByteWise(b *testing.B) {
	for _, c := range []struct {
		name string
		size int
	}{{"4K", 4 << 10}, {"32K", 32 << 10}} {
		b.Run(c.name, func(b *testing.B) {
			head := largeHead(c.size)
			lim := &DefaultLimits
			for b.Loop() {
				var r Request
				for n := 1; n <= len(head); n++ {
					if _, err := r.Parse(head[:n], lim); err != nil && err != ErrNeedMore {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(head)), "ns/byte")
		})
	}
}

func BenchmarkAppendHead(b *testing.B) {
	t := NewTemplate("fapws", 784111777)
	for _, c := range []struct {
		name string
		r    Response
	}{
		{"hello", Response{Status: 200, Length: 13, Type: "text/html; charset=utf-8", Version: HTTP11, KeepAlive: true}},
		{"json", Response{Status: 200, Length: 4096, Version: HTTP11, KeepAlive: true, Fields: []byte(
			"Content-Type: application/json\r\nCache-Control: no-store\r\nX-A: 1\r\nX-B: 2\r\nX-C: 3\r\n")}},
		{"notfound", Response{Status: 404, Length: 10, Type: "text/plain; charset=utf-8", Version: HTTP11, KeepAlive: true}},
	} {
		b.Run(c.name, func(b *testing.B) {
			dst := make([]byte, 0, 1024)
			b.ReportAllocs()
			for b.Loop() {
				r := c.r
				dst = t.AppendHead(dst[:0], &r)
			}
		})
	}
}

func BenchmarkChunkedReader(b *testing.B) {
	var body []byte
	data := make([]byte, 4096)
	for range 16 {
		body = appendChunk(body, data)
	}
	body = append(body, lastChunk...)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		var d ChunkedReader
		for src := body; !d.Done(); {
			_, n, err := d.Next(src)
			if err != nil {
				b.Fatal(err)
			}
			src = src[n:]
		}
	}
}
