package exchange

import (
	"slices"
	"testing"

	"fapws/runtime/checktest"
	"fapws/runtime/logfile"
)

func TestOccupancyOfAResponseEndsWithItsPart(t *testing.T) {
	head, whole := &Part{First: true}, &Part{First: true, End: Complete}
	interim := &Part{Interim: true}
	for o, ends := range map[Occupancy][]*Part{
		OccupiesNothing: nil, OccupiesUntilHead: {head, whole}, OccupiesUntilEnd: {whole},
	} {
		for _, p := range []*Part{head, whole, interim} {
			got, want := o.EndsWith(p), slices.Contains(ends, p)
			checktest.Equalf(t, got, want, "%d: after %+v", o, p)
		}
	}
}

func TestRecordsOfEndedExchangesAreReused(t *testing.T) {
	s := &Server{}
	c := &Client{peer: &Peer{}}
	var all []*Exchange
	for range 3 * spareRecords {
		x := s.New(c, nil)
		x.Record = new(logfile.Record)
		all = append(all, x)
	}
	for _, x := range all {
		x.End()
	}
	n := len(s.records)
	checktest.Truef(t, n == spareRecords && s.Active() == 0, "%d records are kept, %d exchanges are active", n, s.Active())
}
