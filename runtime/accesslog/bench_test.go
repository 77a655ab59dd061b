package accesslog

import "testing"

func BenchmarkAppend(b *testing.B) {
	l, err := Open("/dev/null")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	e := entry("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")
	b.ReportAllocs()
	for b.Loop() {
		l.Append(e)
	}
}
