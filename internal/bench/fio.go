package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// FioCell is a case of the comparison with fio.
type FioCell struct {
	RW    string `json:"rw"` // randrw, three reads for each write, or randread
	Block int    `json:"block"`
	Depth int    `json:"depth"` // requests in flight: goroutines, or fio's iodepth, or its threads
}

// FioCells returns the matrix that io_uring became known by, and 4 KiB reads.
func FioCells() []FioCell {
	var cells []FioCell
	for _, block := range []int{16 << 10, 32 << 10, 1 << 20} {
		for _, depth := range []int{8, 16, 32} {
			cells = append(cells, FioCell{"randrw", block, depth})
		}
	}
	for _, depth := range []int{1, 2, 8, 32, 128} {
		cells = append(cells, FioCell{"randread", 4 << 10, depth})
	}
	return cells
}

// Cell is the same work for os.File and ringfile.
func (f FioCell) Cell() Cell {
	op := Mix
	if f.RW == "randread" {
		op = RandRead
	}
	return Cell{Op: op, Mode: Direct, Block: f.Block, Goroutines: f.Depth}
}

func (f FioCell) String() string {
	return fmt.Sprintf("fio=%s/size=%s/depth=%d", f.RW, Size(f.Block), f.Depth)
}

// engines are those of fio that a cell compares with.
func (f FioCell) engines() []string {
	if f.RW == "randread" {
		return []string{"io_uring"}
	}
	return []string{"io_uring", "libaio", "psync"}
}

// FioResult is what came of a cell: fio's engines, os.File and ringfile.
type FioResult struct {
	FioCell
	Volume string `json:"volume"`
	Sides  []Side `json:"contestants"`

	// Of ringfile: medians of the ratios of neighbouring pieces. Zero if one of the two failed.
	ToFio    float64 `json:"ratio_to_fio,omitempty"`     // of its rate to that of the better of fio's engines
	CPUToFio float64 `json:"cpu_ratio_to_fio,omitempty"` // of its processor time per operation to that of fio's io_uring

	Disturbance string `json:"disturbance,omitempty"` // as in Result
}

// Side returns the contestant with the name, nil if there is none.
func (r *FioResult) Side(name string) *Side {
	for i := range r.Sides {
		if r.Sides[i].Name == name {
			return &r.Sides[i]
		}
	}
	return nil
}

// ErrNoFio says that fio is not there.
var ErrNoFio = errors.New("fio is not installed; install it with the system's package manager, as in \"apt install fio\" or \"dnf install fio\"")

// FindFio returns where fio is, and its version.
func FindFio(ctx context.Context) (path, version string, err error) {
	if path, err = exec.LookPath("fio"); err != nil {
		return "", "", ErrNoFio
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return "", "", fmt.Errorf("fio --version: %w", err)
	}
	return path, strings.TrimSpace(string(out)), nil
}

// fioPiecer measures pieces with fio.
type fioPiecer struct {
	ctx          context.Context
	path, engine string
	cell         FioCell
	b            *Bench
}

func (f *fioPiecer) Close() error { return nil }

// args is the command line for a piece.
func (f *fioPiecer) args(d time.Duration) []string {
	iodepth, jobs := f.cell.Depth, 1
	if f.engine == "psync" {
		iodepth, jobs = 1, f.cell.Depth
	}
	return []string{
		"--name=ringfile", "--output-format=json", "--filename=" + f.b.Data(), "--allow_file_create=0",
		fmt.Sprintf("--size=%d", f.b.Size), "--direct=1", "--ioengine=" + f.engine,
		"--rw=" + f.cell.RW, "--rwmixread=75", fmt.Sprintf("--bs=%d", f.cell.Block),
		fmt.Sprintf("--iodepth=%d", iodepth), fmt.Sprintf("--numjobs=%d", jobs), "--thread", "--group_reporting",
		"--time_based", fmt.Sprintf("--runtime=%dms", max(d.Milliseconds(), 1)),
		"--norandommap", "--randrepeat=0", "--lat_percentiles=1", "--clat_percentiles=0",
		"--percentile_list=50:99:99.9",
	}
}

func (f *fioPiecer) Piece(l Limit) (Sample, error) {
	// The same start as the others have.
	if _, err := f.b.prepare(f.cell.Cell()); err != nil {
		return Sample{}, err
	}
	cmd := exec.CommandContext(f.ctx, f.path, f.args(l.Time)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	meter := startMeter()
	out, err := cmd.Output()
	if err != nil {
		return Sample{}, fmt.Errorf("fio --ioengine=%s: %w: %s", f.engine, err, firstLine(stderr.String()))
	}
	others := meter.others(cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime())
	s, err := parseFio(out)
	if err != nil {
		return s, fmt.Errorf("fio --ioengine=%s: %w: %s", f.engine, err, firstLine(stderr.String()))
	}
	s.Threads, s.Others = 1, others
	if f.engine == "psync" {
		s.Threads = f.cell.Depth
	}
	return s, nil
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return s
}

// fioOutput is what we use of fio's JSON.
type fioOutput struct {
	Jobs []struct {
		Error      int     `json:"error"`
		JobRuntime float64 `json:"job_runtime"` // milliseconds, of all jobs together
		UserCPU    float64 `json:"usr_cpu"`     // percent of that
		SystemCPU  float64 `json:"sys_cpu"`
		Read       fioDir  `json:"read"`
		Write      fioDir  `json:"write"`
	} `json:"jobs"`
}

type fioDir struct {
	TotalIOs float64 `json:"total_ios"`
	Runtime  float64 `json:"runtime"` // milliseconds
	Latency  struct {
		Percentile map[string]float64 `json:"percentile"`
	} `json:"lat_ns"`
}

// parseFio reads fio's report. The percentiles are those of the reads; with a mix of both, ours are
// of reads and writes.
func parseFio(out []byte) (Sample, error) {
	_, text, found := bytes.Cut(out, []byte("{")) // notes may stand before it
	if !found {
		return Sample{}, errors.New("no JSON in its output")
	}
	var r fioOutput
	if err := json.NewDecoder(bytes.NewReader(append([]byte("{"), text...))).Decode(&r); err != nil {
		return Sample{}, err
	}
	if len(r.Jobs) == 0 {
		return Sample{}, errors.New("no job in its output")
	}
	j := r.Jobs[0]
	ops, ms := j.Read.TotalIOs+j.Write.TotalIOs, max(j.Read.Runtime, j.Write.Runtime)
	if j.Error != 0 || ops == 0 || ms == 0 {
		return Sample{}, fmt.Errorf("it did nothing (error %d)", j.Error)
	}
	p := func(q string) time.Duration { return time.Duration(j.Read.Latency.Percentile[q]) }
	return Sample{
		Ops: int(ops), Seconds: ms / 1e3,
		P50: p("50.000000"), P99: p("99.000000"), P999: p("99.900000"),
		CPUMicros: (j.UserCPU + j.SystemCPU) / 100 * j.JobRuntime * 1e3 / ops,
		InCache:   -1,
	}, nil
}

// Fio measures one cell: each repetition runs all, beginning with another each time.
func (r *Runner) Fio(ctx context.Context, path string, b *Bench, f FioCell) (FioResult, error) {
	res := FioResult{FioCell: f}
	var piecers []Piecer
	add := func(name string, p Piecer, err error) {
		s := Side{Name: name}
		if err != nil {
			s.Error = err.Error()
		}
		res.Sides, piecers = append(res.Sides, s), append(piecers, p)
	}
	for _, e := range f.engines() {
		add("fio "+e, &fioPiecer{ctx, path, e, f, b}, nil)
	}
	for i, name := range []string{NameOS, NameRing} {
		p, err := r.Start(ctx, f.Cell(), i == 1)
		if p != nil {
			defer p.Close()
			_, err = p.Piece(Limit{Time: r.warmUp()}) // not counted; fio starts anew each time
		}
		add(name, p, err)
	}
	n := len(piecers)
	for rep := range r.Reps {
		for turn := range n {
			i := (turn + rep) % n
			s := &res.Sides[i]
			if ctx.Err() != nil {
				return res, ctx.Err()
			}
			if s.Error != "" {
				continue
			}
			sample, err := piecers[i].Piece(Limit{Time: r.Time})
			if err != nil {
				s.Error = err.Error()
				continue
			}
			s.Samples = append(s.Samples, sample)
		}
	}
	var sides []*Side
	for i := range res.Sides {
		res.Sides[i].summarize()
		sides = append(sides, &res.Sides[i])
	}
	res.Disturbance = disturbance(Processors(), sides...)
	res.compare()
	return res, ctx.Err()
}

// compare derives the ratios to fio.
func (r *FioResult) compare() {
	ring, uring := r.Side(NameRing), r.Side("fio io_uring")
	better := uring
	for i := range r.Sides {
		if s := &r.Sides[i]; strings.HasPrefix(s.Name, "fio") && s.Error == "" && s.Median.OpsPerSecond() > better.Median.OpsPerSecond() {
			better = s
		}
	}
	r.ToFio = median(ratios(ring, better, Sample.OpsPerSecond))
	r.CPUToFio = median(ratios(ring, uring, func(s Sample) float64 { return s.CPUMicros }))
}

// ToFioText says what the ratios to fio are; empty if there are none.
func (r *FioResult) ToFioText() string {
	if r.ToFio == 0 || r.CPUToFio == 0 {
		return ""
	}
	return fmt.Sprintf("ringfile to fio: %.2f of the rate of the better engine, %.2f of io_uring's processor time", r.ToFio, r.CPUToFio)
}
