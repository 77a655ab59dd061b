package logfile

import (
	"testing"
)

func BenchmarkAppend(b *testing.B) {
	for _, name := range FormatNames {
		b.Run(name, func(b *testing.B) {
			f, err := ParseFormat(name)
			if err != nil {
				b.Fatal(err)
			}
			file, err := Open(Options{Path: "/dev/null"})
			if err != nil {
				b.Fatal(err)
			}
			defer file.Close()
			l, e := NewAccessLog(file, f), entry(f)
			b.ReportAllocs()
			for b.Loop() {
				l.Append(e)
			}
		})
	}
}
