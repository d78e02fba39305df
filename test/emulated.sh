#!/usr/bin/env bash
# Runs tests on other processors: as QEMU's user emulation does them, and those of 386 on an amd64 itself.
#
#   bash test/emulated.sh [-short] [ARCH ...]
#
# QEMU's user emulation is Debian's package qemu-user. It knows neither io_uring nor preadv2: what is tested there
# is the blocking backend, and the layouts and arithmetic of package uring, for which s390x has the other byte
# order. On 386 rings are real, and so are 32 bits.
set -euo pipefail
cd "$(dirname "$0")/.."
export CGO_ENABLED=0

short=
if [ "${1:-}" = -short ]; then
	short=yes
	shift
fi
archs=("$@")
if [ ${#archs[@]} -eq 0 ]; then
	archs=(386 arm64 s390x)
	[ -n "$short" ] || archs+=(ppc64le riscv64)
fi
declare -A emulator=([arm64]=qemu-aarch64 [ppc64le]=qemu-ppc64le [riscv64]=qemu-riscv64 [s390x]=qemu-s390x)

# What the emulation cannot do, with the reason.
cannot=(
	# They start themselves again, and the kernel cannot start a program of another processor.
	TestExitInFlight TestStatAutomount TestReplaceUnasked 'TestCopy(Permissions|RangeFails|MetadataRefused|ACLRefused|Killed)'
	# They need preadv2, pwritev2: to read from the page cache without a goroutine, and to be told of injected failures.
	TestBatchAllocates TestUncachedInjected TestTransfers
	# QEMU's statx knows no alignments.
	ExampleFile_DirectAlign
)
# On ppc64le nil pointers do not fault, as page 0 can be read; there and on arm64 it is not told where a mapped file has ended.
declare -A alone=([ppc64le]='TestNilFile|TestShrunk' [arm64]=TestShrunk)

# run runs the tests of packages on $arch.
run() { # PACKAGE ... FLAG ...
	GOARCH=$arch go test -vet=off -short -count=1 "${emulated[@]}" -skip "^($(IFS='|' && echo "${skip[*]}"))\$" "$@"
}

for arch in "${archs[@]}"; do
	echo "$arch"
	emulated=() skip=('TestMeasure.*' 'Test(Package)?Layers')
	if [ "$arch" = 386 ]; then
		if [ "$(go env GOHOSTARCH)" != amd64 ]; then
			echo "not tested: it takes an amd64, as QEMU does not run Go's programs for 386"
			continue
		fi
		# A ring that can be used at 64 bits, and not at 32, would only be skipped by the tests.
		! go run ./cmd/ringfile probe >/dev/null || GOARCH=386 go run ./cmd/ringfile probe >/dev/null
	elif [ "$arch" != "$(go env GOHOSTARCH)" ]; then
		emulated=(-exec "${emulator[$arch]}") skip+=("${cannot[@]}" "${alone[$arch]:-}")
	fi
	if [ -n "$short" ]; then
		run ./uring ./internal/sysio ./internal/limit
		run -run '^(TestFileOps|TestReadFileSizes|TestWriteFileSizes|TestBatchMixed|TestFuture.*|TestContexts|TestStormMixed)$' .
	else
		run -timeout 20m ./uring ./internal/{acl,count,limit,route,sysio,fsx} . ./fsys ./stream ./copyfile ./chain ./durable ./mapped
		[ ${#emulated[@]} -gt 0 ] || run ./cmd/ringfile # most of its tests start it again
	fi
done
