package results

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
)

// Results are the measurements of one or several runs of bench on a machine. Times are in seconds, sizes in bytes.
type Results struct {
	Commands  []string          `json:"commands"`
	Date      string            `json:"date"`
	Machine   Machine           `json:"machine"`
	Versions  map[string]string `json:"versions"`
	LeftOut   []string          `json:"left_out,omitempty"` // "name: reason"
	Workloads []Workload        `json:"workloads"`
}

type Machine struct {
	CPU               string  `json:"cpu"`
	CPUs              int     `json:"cpus"`
	System            string  `json:"system"`
	Kernel            string  `json:"kernel"`
	CongestionControl string  `json:"congestion_control"`
	Load              float64 `json:"load"` // average of runnable threads in the minute before the run
}

type Workload struct {
	Name    string   `json:"name"`
	Title   string   `json:"title"`
	Rounds  int      `json:"rounds"`
	Seconds float64  `json:"seconds"` // duration of each measurement
	Servers []Server `json:"servers"`
}

// Server has the measurements of a server in a workload: a sample for each round, in their order.
type Server struct {
	Name    string   `json:"name"`
	Samples []Sample `json:"samples"`
}

// Sample is a measurement of one server. A value that does not apply to the workload is 0.
type Sample struct {
	Rate   float64 `json:"requests_per_second,omitempty"`
	P50    float64 `json:"p50,omitempty"`
	P99    float64 `json:"p99,omitempty"`
	CPU    float64 `json:"cpu_per_request,omitempty"`
	Memory int64   `json:"memory,omitempty"`
	Errors int     `json:"errors,omitempty"`
	Start  float64 `json:"start,omitempty"` // from the start of the process to the first response
	Each   int64   `json:"each,omitempty"`  // memory of a connection
	// share of the CPUs of server and client that other machines on the same host have used
	Stolen float64 `json:"stolen,omitempty"`
}

func Load(file string) (*Results, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var r Results
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return &r, nil
}

func (r *Results) Save(file string) error {
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

// SaveInto saves r in file. Results of other workloads in the file remain if they are of the same machine and the same
// version of fapws.
func (r *Results) SaveInto(file string) error {
	earlier, err := Load(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return r.Save(file)
	case err != nil:
		return err
	}
	r.include(earlier)
	return r.Save(file)
}

func (r *Results) include(earlier *Results) {
	if r.Machine.sameAs(earlier.Machine) && r.Versions["fapws"] == earlier.Versions["fapws"] {
		replaced := func(w Workload) bool { return r.workload(w.Name) != nil }
		r.Workloads = append(slices.DeleteFunc(earlier.Workloads, replaced), r.Workloads...)
		r.Commands = appendNew(earlier.Commands, r.Commands)
		r.LeftOut = appendNew(earlier.LeftOut, r.LeftOut)
		r.Machine.Load = max(r.Machine.Load, earlier.Machine.Load)
		versions := earlier.Versions
		maps.Copy(versions, r.Versions)
		r.Versions = versions
	}
}

func (m Machine) sameAs(other Machine) bool {
	m.Load = other.Load
	return m == other
}

func appendNew(list, extra []string) []string {
	for _, s := range extra {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

func (r *Results) workload(name string) *Workload {
	i := slices.IndexFunc(r.Workloads, func(w Workload) bool { return w.Name == name })
	if i < 0 {
		return nil
	}
	return &r.Workloads[i]
}

func (w *Workload) server(name string) *Server {
	i := slices.IndexFunc(w.Servers, func(s Server) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return &w.Servers[i]
}

func (s *Server) values(value func(Sample) float64) []float64 {
	var values []float64
	for _, sample := range s.Samples {
		values = append(values, value(sample))
	}
	return values
}

func (s *Server) median(value func(Sample) float64) float64 { return Median(s.values(value)) }

// Median sorts values and returns their median, or 0 without values.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

func rate(s Sample) float64   { return s.Rate }
func p50(s Sample) float64    { return s.P50 }
func p99(s Sample) float64    { return s.P99 }
func memory(s Sample) float64 { return float64(s.Memory) }
func failed(s Sample) float64 { return float64(s.Errors) }
func start(s Sample) float64  { return s.Start }
func each(s Sample) float64   { return float64(s.Each) }

func perCPU(s Sample) float64 {
	if s.CPU == 0 {
		return 0
	}
	return 1 / s.CPU
}
