package patches

import "testing"

// victoriaMetrics reads what is not in memory with ReadAt, as a page fault would hold up more: that call is ringfile's.
var victoriaMetrics = kit{
	module: "github.com/VictoriaMetrics/VictoriaMetrics@v1.151.0",
	edits: []edit{
		{"lib/fs/reader_at.go", `"github.com/VictoriaMetrics/metrics"`,
			"\"github.com/VictoriaMetrics/metrics\"\n\t\"github.com/ringfile/ringfile\""},
		{"lib/fs/reader_at.go", `f        *os.File`, `f        *ringfile.File`},
		{"lib/fs/reader_at.go", `os.Open(path)`, `ringfile.Open(path)`},
		{"lib/fs/reader_at.go", `newMmapReaderFromFile(f *os.File)`, `newMmapReaderFromFile(f *ringfile.File)`},
		{"lib/fs/reader_at.go", `mr := newMmapReaderFromFile(f)`, "rf, err := ringfile.Adopt(f)\n\tif err != nil {\n\t\tlogger.Panicf(\"FATAL: %s\", err)\n\t}\n\tmr := newMmapReaderFromFile(rf)"},
		{"lib/fs/reader_at.go", `mmapFile(f *os.File`, `mmapFile(f *ringfile.File`},
		{"lib/fs/reader_at.go", `if err := fadviseSequentialRead(mr.f, prefetch)`, `advice := ringfile.AdviceSequential
	if prefetch {
		advice = ringfile.AdviceWillNeed // which FADV_SEQUENTIAL|FADV_WILLNEED is
	}
	if err := mr.f.Advise(0, 0, advice)`},
		{"lib/fs/fs.go", `MustClose(f *os.File)`, "MustClose(f interface {\n\tName() string\n\tClose() error\n})"},
	},
	touch: []string{"./lib/fs"},
	suites: []suite{
		{dir: "./lib/fs", flags: withoutMmap},
		{dir: "./app/vmselect/netstorage", flags: withoutMmap, long: true},
		{dir: "./lib/mergeset", flags: withoutMmap, long: true},
		{dir: "./lib/storage", flags: withoutMmap, long: true},
	},
	rigs: []rig{
		{dir: "lib/fs", source: "victoriametrics_fs.go", cells: []cell{
			{Name: "read, cached", Goroutines: 64, Ops: 200_000},
			{Name: "read, cached, without mmap", Goroutines: 64, Ops: 200_000},
			{Name: "read, cold", Goroutines: 1, Ops: 4_000},
			{Name: "read, cold", Goroutines: 16, Ops: 20_000},
			{Name: "read, cold", Goroutines: 64, Ops: 20_000},
			{Name: "read, cold", Goroutines: 256, Ops: 20_000},
		}},
		{dir: "lib/mergeset", source: "victoriametrics_mergeset.go", cells: []cell{
			{Name: "look-up, cold", Goroutines: 1, Ops: 100},
			{Name: "look-up, cold", Goroutines: 16, Ops: 800},
			{Name: "look-up, cold", Goroutines: 64, Ops: 800},
			{Name: "look-up, cold", Goroutines: 256, Ops: 800},
		}},
	},
}

// withoutMmap has all reads take the call that is changed: what tests read is always in memory.
var withoutMmap = []string{"-args", "-fs.disableMmap"}

func TestVictoriaMetrics(t *testing.T)        { victoriaMetrics.test(t) }
func TestMeasureVictoriaMetrics(t *testing.T) { victoriaMetrics.measure(t) }
