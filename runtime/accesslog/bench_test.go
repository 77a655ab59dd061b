package accesslog

import (
	"testing"

	"fapws/runtime/logfile"
)

func BenchmarkAppend(b *testing.B) {
	for _, name := range Names {
		b.Run(name, func(b *testing.B) {
			f, err := Parse(name)
			if err != nil {
				b.Fatal(err)
			}
			file, err := logfile.Open(logfile.Options{Path: "/dev/null"})
			if err != nil {
				b.Fatal(err)
			}
			defer file.Close()
			l, e := New(file, f), entry(f)
			b.ReportAllocs()
			for b.Loop() {
				l.Append(e)
			}
		})
	}
}
