package route

import "testing"

// rows is the table of docs/design.md: which operation goes which way, and why.
var rows = []struct {
	what string // the file and the operation
	in   Input
	want Route
	// rest is where the rest of a read goes that the page cache does not have, of Inline.
	rest Route
	why  string
}{
	{"direct read", Input{Kind: Read, Direct: true, Nowait: Yes}, Ring, 0,
		"it waits for the device, and holds no thread meanwhile"},
	{"direct write", Input{Kind: Write, Direct: true, Nowait: Yes}, Ring, 0,
		"the same"},
	{"direct read, few under way", Input{Kind: Read, Direct: true, Nowait: Yes, Few: true}, Syscall, 0,
		"with a few in flight a ring costs more than it saves"},
	{"direct write, few under way", Input{Kind: Write, Direct: true, Nowait: Yes, Few: true}, Syscall, 0,
		"the same; and a file system completes a ring's direct writes by way of a kernel thread"},
	{"direct transfer of a Future or with a context, few under way", Input{Kind: Write, Direct: true, Nowait: Yes, Few: true, Leavable: true}, Ring, 0,
		"its caller may leave, and needs no goroutine for that"},
	{"direct write that makes the file longer, that is one between syncs, or any with copy on write", Input{Kind: Write, Direct: true, Nowait: Yes, Serial: true}, Syscall, 0,
		"file systems take a lock for it that cannot be taken without waiting: a ring hands each to a kernel thread"},
	{"such a write of a Future or with a context", Input{Kind: Write, Direct: true, Nowait: Yes, Serial: true, Leavable: true}, Syscall, 0,
		"the same, in a goroutine of its own"},
	{"direct transfer on a file system of which not known whether it has RWF_NOWAIT", Input{Kind: Read, Direct: true}, Syscall, 0,
		"the call asks"},
	{"direct transfer on a file system without RWF_NOWAIT", Input{Kind: Write, Direct: true, Nowait: No}, Syscall, 0,
		"a ring would block kernel threads"},
	{"direct transfer at the position, which the File does not have to itself", Input{Kind: Read, Direct: true, Nowait: Yes, Position: true}, Syscall, 0,
		"a ring does not move the position"},
	{"direct transfer that is polled", Input{Kind: Read, Direct: true, Polled: true}, Ring, 0,
		"there is no other way to poll; the kernel's answer counts"},
	{"direct transfer that is polled, whatever else is known", Input{Kind: Write, Direct: true, Polled: true, Nowait: No, Few: true, Serial: true}, Ring, 0,
		"the same"},

	{"buffered read", Input{Kind: Read, Size: 4096, Nowait: Yes}, Inline, Ring,
		"the page cache answers at the speed of pread"},
	{"buffered read, the first on its file system", Input{Kind: Read, Size: 4096}, Inline, Ring,
		"it finds out whether that has RWF_NOWAIT"},
	{"buffered read of 256 KiB or more", Input{Kind: Read, Size: LargeMiss, Nowait: Yes}, Inline, Syscall,
		"a ring starts it anew for each part that the read-ahead brings in"},
	{"buffered read of less, few under way (of 64 KiB or more: sixteen for each P)", Input{Kind: Read, Size: FewMiss, Nowait: Yes, Few: true}, Inline, Syscall,
		"the same, as long as threads are plenty"},
	{"buffered read of less than 64 KiB, few under way (four for each P, and one)", Input{Kind: Read, Size: 4096, Nowait: Yes, Few: true}, Inline, Syscall,
		"with a few in flight a ring costs more than it saves"},
	{"buffered read of 64 KiB or more, many under way", Input{Kind: Read, Size: FewMiss, Nowait: Yes}, Inline, Ring,
		"they would hold many threads"},
	{"buffered read of a Future or with a context, few under way", Input{Kind: Read, Size: FewMiss, Nowait: Yes, Few: true, Leavable: true}, Inline, Ring,
		"its caller may leave, and needs no goroutine for that"},
	{"buffered read of 256 KiB or more of a Future or with a context", Input{Kind: Read, Size: LargeMiss, Nowait: Yes, Leavable: true}, Inline, Syscall,
		"a ring starts it anew all the same"},
	{"buffered read at the position, which the File does not have to itself", Input{Kind: Read, Size: 4096, Nowait: Yes, Position: true}, Syscall, 0,
		"a ring does not move the position, and between two calls others may"},
	{"buffered read of a file that missed 8 times in a row", Input{Kind: Read, Size: 4096, Nowait: Yes, Cold: true}, Ring, 0,
		"a cold file does not pay the extra call; one in 32 tries the page cache again"},
	{"buffered read of 256 KiB or more of such a file", Input{Kind: Read, Size: LargeMiss, Nowait: Yes, Cold: true}, Syscall, 0,
		"as after a miss"},
	{"buffered read on a file system without RWF_NOWAIT (FUSE, overlay, /proc)", Input{Kind: Read, Nowait: No}, Syscall, 0,
		"a ring would block kernel threads"},
	{"buffered read on a kernel before 5.17 that reports false ends of files", Input{Kind: Read, Nowait: Yes, FalseEOF: true}, Syscall, 0,
		"there is no telling what is in the page cache"},
	{"buffered read with Config.IOPoll", Input{Kind: Read, Nowait: Yes, Polled: true}, Inline, Syscall,
		"such a ring takes direct transfers only"},
	{"buffered write", Input{Kind: Write, Nowait: Yes}, Syscall, 0,
		"a ring hands it to one kernel thread for each inode"},
	{"buffered write of a Future or with a context", Input{Kind: Write, Nowait: Yes, Leavable: true}, Syscall, 0,
		"the same, in a goroutine of its own"},

	{"fsync, fdatasync", Input{Kind: Sync}, Syscall, 0,
		"a ring has a kernel thread do it: a quarter more time and processor time"},
	{"fallocate, fadvise", Input{Kind: Control}, Ring, 0,
		"they wait; a kernel thread does, a Go thread need not"},
	{"fallocate, fadvise with Config.IOPoll", Input{Kind: Control, Polled: true}, Syscall, 0,
		"such a ring takes direct transfers only"},
}

// TestTable holds what the documentation says.
func TestTable(t *testing.T) {
	seen := make(map[Input]string)
	for _, row := range rows {
		in := row.in
		in.Ring, in.Seekable = true, true
		if got := Choose(in); got != row.want {
			t.Errorf("%s: %v, want %v: %s", row.what, got, row.want, row.why)
		}
		if row.want == Inline {
			if got := AfterMiss(in); got != row.rest {
				t.Errorf("the rest of a %s: %v, want %v: %s", row.what, got, row.rest, row.why)
			}
		}
		if other, ok := seen[in]; ok {
			t.Errorf("%q and %q are the same", row.what, other)
		}
		seen[in] = row.what
		// What holds for all rows:
		for what, without := range map[string]func(*Input){
			"no io_uring":                     func(in *Input) { in.Ring = false },
			"a pipe, a socket or a directory": func(in *Input) { in.Seekable = false },
		} {
			in := in
			without(&in)
			if got := Choose(in); got != Syscall {
				t.Errorf("%s: %s: %v, want %v", what, row.what, got, Syscall)
			}
		}
	}
}

// every calls do with all inputs on a ring whose size is one of those that make a difference.
func every(do func(in Input)) {
	bits := []func(in *Input, on bool){
		func(in *Input, on bool) { in.Direct = on },
		func(in *Input, on bool) { in.Polled = on },
		func(in *Input, on bool) { in.FalseEOF = on },
		func(in *Input, on bool) { in.Serial = on },
		func(in *Input, on bool) { in.Few = on },
		func(in *Input, on bool) { in.Position = on },
		func(in *Input, on bool) { in.Cold = on },
		func(in *Input, on bool) { in.Leavable = on },
	}
	for kind := Read; kind <= Control; kind++ {
		for _, size := range []int{0, 1, FewMiss - 1, FewMiss, LargeMiss - 1, LargeMiss, 1 << 30} {
			for nowait := Unknown; nowait <= No; nowait++ {
				for mask := range 1 << len(bits) {
					in := Input{Kind: kind, Size: size, Ring: true, Seekable: true, Nowait: nowait}
					for i, set := range bits {
						set(&in, mask>>i&1 != 0)
					}
					do(in)
				}
			}
		}
	}
}

// TestRules holds what must be so whatever else is.
func TestRules(t *testing.T) {
	rules := []struct {
		what   string
		broken func(in Input, r, rest Route) bool
	}{
		{"only buffered reads look into the page cache", func(in Input, r, _ Route) bool {
			return r == Inline && (in.Kind != Read || in.Direct)
		}},
		{"what is at the position does not go to a ring that does not move it", func(in Input, r, rest Route) bool {
			return in.Position && !(in.Polled && in.Direct) && in.Kind <= Write && (r == Ring || r == Inline && rest == Ring)
		}},
		{"buffered writes are system calls", func(in Input, r, _ Route) bool {
			return in.Kind == Write && !in.Direct && r != Syscall
		}},
		{"a ring that polls takes direct transfers, all of them, and nothing else", func(in Input, r, rest Route) bool {
			direct := in.Direct && in.Kind <= Write
			return in.Polled && direct != (r == Ring) || in.Polled && r == Inline && rest == Ring
		}},
		{"where RWF_NOWAIT is not known transfers are no requests", func(in Input, r, rest Route) bool {
			return in.Nowait == No && in.Kind <= Write && !(in.Polled && in.Direct) && (r == Ring || r == Inline)
		}},
		{"an end of the file that may be false is not looked at", func(in Input, r, _ Route) bool {
			return in.FalseEOF && r == Inline
		}},
		{"syncs are system calls", func(in Input, r, _ Route) bool {
			return in.Kind == Sync && r != Syscall
		}},
		{"AfterMiss never sends back", func(_ Input, _, rest Route) bool { return rest == Inline }},
		{"a read that does not look goes where one goes that has missed", func(in Input, r, rest Route) bool {
			return in.Kind == Read && !in.Direct && r == Ring && r != rest
		}},
	}
	every(func(in Input) {
		r, rest := Choose(in), AfterMiss(in)
		for _, rule := range rules {
			if rule.broken(in, r, rest) {
				t.Fatalf("%s: %+v goes by %v, the rest of a read by %v", rule.what, in, r, rest)
			}
		}
	})
}

// TestFact finds something out.
func TestFact(t *testing.T) {
	var f Fact
	if f.Get() != Unknown {
		t.Errorf("%v before anything is known", f.Get())
	}
	for _, v := range []Tristate{Yes, Yes, No, Unknown} {
		if f.Set(v); f.Get() != v {
			t.Errorf("%v, want %v", f.Get(), v)
		}
	}
	for r, name := range map[Route]string{Syscall: "syscall", Inline: "inline", Ring: "ring"} {
		if r.String() != name {
			t.Errorf("%d is named %s", r, r)
		}
	}
}
