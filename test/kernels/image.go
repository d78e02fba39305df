package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// prepare returns the directory of k, unpacked under cache, with vmlinux in it; it fetches what is
// not there yet.
func (a *archive) prepare(cache string, k *kernel) (string, error) {
	dir := filepath.Join(cache, "kernel", k.series()+"_"+k.version)
	if _, err := os.Stat(filepath.Join(dir, "vmlinux")); err == nil {
		return dir, nil
	}
	old, _ := filepath.Glob(filepath.Join(cache, "kernel", k.series()+"_*"))
	for _, d := range old {
		os.RemoveAll(d)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if err := a.fetch(dir, k.names()); err != nil {
		return "", err
	}
	// The packages have the modules under lib or usr/lib, the tools look in lib.
	if _, err := os.Stat(filepath.Join(dir, "lib")); err != nil {
		if err := os.Symlink("usr/lib", filepath.Join(dir, "lib")); err != nil {
			return "", err
		}
	}
	if _, err := output("", "depmod", "-b", dir, k.release); err != nil {
		return "", err
	}
	images, _ := filepath.Glob(filepath.Join(dir, "boot", "vmlinuz-*"))
	if len(images) == 0 {
		images, _ = filepath.Glob(filepath.Join(dir, "lib", "modules", "*", "vmlinuz"))
	}
	if len(images) != 1 {
		return "", fmt.Errorf("%s: %d kernel images, want one", k.release, len(images))
	}
	image, err := os.ReadFile(images[0])
	if err != nil {
		return "", err
	}
	elf, err := extract(image)
	if err != nil {
		return "", fmt.Errorf("%s: %w", k.release, err)
	}
	// The file that says that the directory is complete comes last, whole.
	part := filepath.Join(dir, "vmlinux.part")
	if err := os.WriteFile(part, elf, 0o644); err != nil {
		return "", err
	}
	return dir, os.Rename(part, filepath.Join(dir, "vmlinux"))
}

// extract takes the kernel out of a bzImage. It boots without the wrapping, and need not unpack
// itself under emulation.
func extract(image []byte) ([]byte, error) {
	// Of the setup header, see the kernel's Documentation/arch/x86/boot.rst: setup_sects,
	// payload_offset and payload_length.
	if len(image) < 0x250 {
		return nil, fmt.Errorf("not a bzImage: %d bytes", len(image))
	}
	start := (uint64(image[0x1f1])+1)*512 + uint64(binary.LittleEndian.Uint32(image[0x248:]))
	length := uint64(binary.LittleEndian.Uint32(image[0x24c:]))
	if length < 4 || start+length > uint64(len(image)) {
		return nil, fmt.Errorf("not a bzImage: payload of %d bytes at %d", length, start)
	}
	payload := image[start : start+length-4] // the last four bytes are the unpacked size
	for _, m := range []struct{ magic, program string }{
		{"\x1f\x8b\x08", "gzip"}, {"\xfd7zXZ\x00", "xz"}, {"\x02!L\x18", "lz4"}, {"(\xb5/\xfd", "zstd"},
	} {
		if !bytes.HasPrefix(payload, []byte(m.magic)) {
			continue
		}
		c := exec.Command(m.program, "-dc")
		c.Stdin = bytes.NewReader(payload)
		elf, err := c.Output() // some programs complain about what follows
		if !bytes.HasPrefix(elf, []byte("\x7fELF")) {
			return nil, fmt.Errorf("%s of the payload: %w", m.program, err)
		}
		return elf, nil
	}
	return nil, fmt.Errorf("payload starts with % x, which is no known compression", payload[:6])
}

// modules returns the files of module name and of what it needs, unpacked, in the order of loading.
func modules(dir, release, name string) ([]file, error) {
	out, err := output("", "modprobe", "-S", release, "-d", dir, "-D", name)
	if err != nil {
		return nil, err
	}
	var list []file
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "insmod" {
			continue // "builtin"
		}
		base := filepath.Base(words[1])
		var data []byte
		switch filepath.Ext(base) {
		case ".xz":
			data, err = output("", "xz", "-dc", words[1])
		case ".zst":
			data, err = output("", "zstd", "-dcq", words[1])
		default:
			data, err = os.ReadFile(words[1])
		}
		if err != nil {
			return nil, err
		}
		base = strings.TrimSuffix(strings.TrimSuffix(base, ".xz"), ".zst")
		list = append(list, file{base, 0o644, data})
	}
	return list, nil
}

// file is one of an initramfs.
type file struct {
	name string // without a leading slash
	mode uint32
	data []byte
}

// cpio returns an initramfs (newc) with files, not packed: that costs more under emulation than it
// saves. Directories precede what is in them.
func cpio(files []file) []byte {
	var b bytes.Buffer
	entry := func(number int, name string, mode uint32, data []byte) {
		links := 1
		fmt.Fprintf(&b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
			number, mode, 0, 0, links, 0, len(data), 0, 0, 0, 0, len(name)+1, 0)
		b.WriteString(name + "\x00")
		b.Write(make([]byte, -b.Len()&3))
		b.Write(data)
		b.Write(make([]byte, -b.Len()&3))
	}
	const dir, regular = 0o040000, 0o100000
	made := map[string]bool{".": true}
	number := 1
	var parents func(name string)
	parents = func(name string) {
		d := filepath.Dir(name)
		if made[d] {
			return
		}
		parents(d)
		made[d] = true
		entry(number, d, dir|0o755, nil)
		number++
	}
	for _, f := range files {
		parents(f.name)
		entry(number, f.name, regular|f.mode, f.data)
		number++
	}
	entry(0, "TRAILER!!!", 0, nil)
	return b.Bytes()
}
