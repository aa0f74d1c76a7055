# SPDX-License-Identifier: LGPL-2.1-or-later
# "make help" lists the targets. docs/development.md says more about the tests.

PREFIX ?= /usr
BINDIR ?= $(PREFIX)/bin
SBINDIR ?= $(PREFIX)/sbin
UNITDIR ?= $(PREFIX)/lib/systemd/system
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
# Where debuggers look for the symbols of /usr/bin/x: below it, as usr/bin/x.debug.
DEBUGDIR ?= $(PREFIX)/lib/debug
DATADIR ?= $(PREFIX)/share
HOOKDIR ?= /etc/libvirt/hooks/qemu.d
DESTDIR ?=
SWIFT ?= swift
# What is installed.
BUILDDIR ?= .build/release
# More words for swift build, such as -j 1.
SWIFTFLAGS ?=

release_flags = -c release --static-swift-stdlib $(SWIFTFLAGS)
c_files = $(shell git ls-files '*.c' '*.h' 2>/dev/null)
shell_files = hooks/qemu .ci/run Tests/guest/init Tests/guest/kernel-init $(filter-out %/guest %.service,$(wildcard Tests/host/*)) $(filter-out scripts/as-unit scripts/test-times scripts/undocumented scripts/lint-docs,$(wildcard scripts/*))
INSTALL_FILE = install -m 0644
substitute = sed -e 's|@BINDIR@|$(BINDIR)|g' -e 's|@SBINDIR@|$(SBINDIR)|g'

.DEFAULT_GOAL := help
.PHONY: help deps build release release-check man check test test-kernels test-host test-streams soak fuzz fuzz-parsers bench bench-ovs bench-scale demo install install-binaries install-data install-group uninstall fmt lint clean

help: ## show this list
	@echo 'virt-tap: taps for libvirt domains. Targets:'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-22s %s\n", $$1, $$2 }'
	@echo 'Paths: PREFIX=$(PREFIX) DESTDIR=$(DESTDIR). The hook must find its binary below /usr/bin where AppArmor confines libvirtd.'

deps: ## install the Debian packages that are missing (root)
	@scripts/deps build test lint

build: ## build both programs for debugging
	@scripts/deps build
	$(SWIFT) build --explicit-target-dependency-import-check=error $(SWIFTFLAGS)

release: ## build both programs to be installed, Swift linked statically
	@scripts/deps build
	$(SWIFT) build $(release_flags) --product virt-tapd
	$(SWIFT) build $(release_flags) --product virt-tap

check: ## run the tests that need neither root nor guests, side by side (under a minute after the build)
	@scripts/deps build
	@SWIFT='$(SWIFT)' SWIFTFLAGS='$(SWIFTFLAGS)' scripts/test --check

man: ## write the help of the command line into packaging/man/virt-tap.1
	@scripts/deps build test
	VT_WRITE_MAN=1 $(SWIFT) test $(SWIFTFLAGS) --filter TapCommandsTests.ManPageTests

test: ## run all tests: unit, kernel, and end to end on real guests (root)
	@scripts/deps build test
	@SWIFT='$(SWIFT)' SWIFTFLAGS='$(SWIFTFLAGS)' scripts/test $(TESTFLAGS)

test-kernels: ## run the data path's tests under Debian's 6.1 and 6.12 kernels and this one (root)
	@scripts/deps build test kernels
	@SWIFT='$(SWIFT)' SWIFTFLAGS='$(SWIFTFLAGS)' scripts/test-kernels $(KERNELS)

# It installs what "make release" made. VT_HOST_FORMER is a folder in which "make install DESTDIR=..." put an earlier version.
test-host: release ## install in a whole Debian 12 host, as README says, and live there, on Debian's kernels (root; ten minutes each)
	@scripts/deps test host
	@scripts/test-host $(KERNELS)

# VT_SOAK_SECONDS (at most 800, a test's limit) and VT_SOAK_SEED, which it prints, decide what it does.
soak: ## break everything at random under guests that start, stop and move, for ten minutes (root)
	@scripts/deps build test
	@VT_SOAK_SECONDS="$${VT_SOAK_SECONDS:-600}" SWIFT='$(SWIFT)' SWIFTFLAGS='$(SWIFTFLAGS)' scripts/test --filter 'EndToEndTests.*SoakTests'

# VT_STREAM_MEGABYTES says how long each stream is.
test-streams: ## put streams of 128 MiB together again from the copies, by every kind of destination (root; five minutes)
	@scripts/deps build test
	@VT_STREAM_MEGABYTES="$${VT_STREAM_MEGABYTES:-128}" SWIFT='$(SWIFT)' SWIFTFLAGS='$(SWIFTFLAGS)' scripts/test --filter 'EndToEndTests.*StreamTests'

# FUZZ are options, such as '--seed 7 --pairs 1000000'.
fuzz: ## compare ten million answers of translated filters with libpcap's (root; two minutes after the build)
	@scripts/deps build
	$(SWIFT) build -c release $(SWIFTFLAGS) --product fuzz-filter
	@.build/release/fuzz-filter $(FUZZ)

# FUZZ are options of libFuzzer, such as -max_total_time=600. What it finds beyond the corpus is kept in .build/fuzz-parsers.
fuzz-parsers: ## let libFuzzer feed frames to the parsers of bpf/, under sanitizers, for a minute
	@SWIFT='$(SWIFT)' scripts/fuzz-parsers $(FUZZ)

bench: ## measure what a tapped packet costs beside tc's mirror, in namespaces of its own (root; ten minutes after the build)
	@scripts/deps build test bench
	$(SWIFT) build $(release_flags) --product bench-tap
	@SWIFT='$(SWIFT)' scripts/bench-tap .build/release $(BENCHFLAGS)

bench-ovs: ## count the instructions of the same beside Open vSwitch's mirror, in Debian's kernel under QEMU (root)
	@scripts/deps build test kernels bench
	$(SWIFT) build $(release_flags) --product bench-tap
	@SWIFT='$(SWIFT)' scripts/bench-ovs .build/release $(BENCHFLAGS)

bench-scale: ## measure what a thousand tapped interfaces cost, in a private hypervisor (root; four minutes after the build)
	@scripts/deps build test
	$(SWIFT) build $(release_flags)
	@scripts/bench .build/release scale $(BENCHFLAGS)

demo: ## watch a tap at work on two small guests, then see it all gone (root)
	@scripts/deps build test kernels
	$(SWIFT) build $(SWIFTFLAGS)
	@scripts/demo "$$($(SWIFT) build $(SWIFTFLAGS) --show-bin-path)"

# Root's PATH may have no Swift: what was built before, as oneself, is installed as it is.
install: install-binaries install-data install-group ## install into DESTDIR and PREFIX what "make release" built
	@echo 'Installed. Now: systemctl daemon-reload; systemctl enable --now virt-tapd.socket virt-tapd.service'
	@echo 'For an upgrade: systemctl daemon-reload; systemctl restart virt-tapd (a daemon that runs is the old one until then; taps go on copying)'
	@echo 'libvirtd finds a first hook only when it starts: restart libvirtd (or virtqemud); running guests stay.'

install-binaries:
	@[ -x '$(BUILDDIR)/virt-tap' ] && [ -x '$(BUILDDIR)/virt-tapd' ] || \
		{ echo 'make: nothing to install yet: run "make release" first (five minutes or so)' >&2; exit 1; }
	install -d '$(DESTDIR)$(BINDIR)' '$(DESTDIR)$(SBINDIR)'
	install -m 0755 '$(BUILDDIR)/virt-tap' '$(DESTDIR)$(BINDIR)/virt-tap'
	install -m 0755 '$(BUILDDIR)/virt-tapd' '$(DESTDIR)$(SBINDIR)/virt-tapd'
	@$(strip_installed)
	install -d '$(DESTDIR)$(DATADIR)/bash-completion/completions' '$(DESTDIR)$(DATADIR)/zsh/vendor-completions' \
		'$(DESTDIR)$(DATADIR)/fish/vendor_completions.d'
	'$(BUILDDIR)/virt-tap' --generate-completion-script bash >'$(DESTDIR)$(DATADIR)/bash-completion/completions/virt-tap'
	'$(BUILDDIR)/virt-tap' --generate-completion-script zsh >'$(DESTDIR)$(DATADIR)/zsh/vendor-completions/_virt-tap'
	'$(BUILDDIR)/virt-tap' --generate-completion-script fish >'$(DESTDIR)$(DATADIR)/fish/vendor_completions.d/virt-tap.fish'

# Half of what was built are symbols: they go to files of their own, which debuggers find by the link that is left. The
# program is exchanged whole, since it may be running.
define strip_installed
if command -v objcopy >/dev/null 2>&1; then \
	for program in '$(BINDIR)/virt-tap' '$(SBINDIR)/virt-tapd'; do \
		file='$(DESTDIR)'$$program && symbols='$(DESTDIR)$(DEBUGDIR)'$$program.debug && \
		install -d "$$(dirname "$$symbols")" && \
		objcopy --only-keep-debug "$$file" "$$symbols" && chmod 0644 "$$symbols" && \
		objcopy --strip-all --add-gnu-debuglink="$$symbols" "$$file" "$$file.new" && \
		chmod 0755 "$$file.new" && mv "$$file.new" "$$file" || exit 1; \
	done; \
else \
	echo 'Symbols stay in the programs (binutils would set them apart, which saves half the space).'; \
fi
endef

# Everything that is not compiled. The hook comes last: from then on libvirt may call the binary.
install-data:
	install -d '$(DESTDIR)$(UNITDIR)' '$(DESTDIR)$(HOOKDIR)' '$(DESTDIR)$(DATADIR)/man/man1' '$(DESTDIR)$(DATADIR)/man/man8' \
		'$(DESTDIR)$(DATADIR)/virt-tap' '$(DESTDIR)$(DATADIR)/doc/virt-tap'
	for folder in docs/decisions docs/explanation docs/guides docs/reference examples schemas; do install -d '$(DESTDIR)$(DATADIR)/doc/virt-tap'/"$$folder" || exit 1; done
	for unit in virt-tapd.service virt-tapd.socket; do \
		$(substitute) "packaging/systemd/$$unit" >'$(DESTDIR)$(UNITDIR)'/"$$unit" && \
		chmod 0644 '$(DESTDIR)$(UNITDIR)'/"$$unit" || exit 1; \
	done
	install -d '$(DESTDIR)$(SYSUSERSDIR)'
	$(INSTALL_FILE) packaging/sysusers.d/virt-tap.conf '$(DESTDIR)$(SYSUSERSDIR)/'
	$(INSTALL_FILE) packaging/man/virt-tap.1 '$(DESTDIR)$(DATADIR)/man/man1/'
	$(INSTALL_FILE) packaging/man/virt-tapd.8 '$(DESTDIR)$(DATADIR)/man/man8/'
	for file in schemas/*; do \
		[ ! -f "$$file" ] || $(INSTALL_FILE) "$$file" '$(DESTDIR)$(DATADIR)/virt-tap/' || exit 1; \
	done
	for file in README.md CHANGELOG.md LICENSE docs/*.md docs/*/*.md docs/*/*.svg examples/* schemas/*; do \
		[ ! -f "$$file" ] || $(INSTALL_FILE) "$$file" '$(DESTDIR)$(DATADIR)/doc/virt-tap'/"$$file" || exit 1; \
	done
	$(substitute) hooks/qemu >'$(DESTDIR)$(HOOKDIR)/.virt-tap.new'
	chmod 0755 '$(DESTDIR)$(HOOKDIR)/.virt-tap.new'
	mv '$(DESTDIR)$(HOOKDIR)/.virt-tap.new' '$(DESTDIR)$(HOOKDIR)/virt-tap'

# Packages leave it to their system's own trigger; without either it comes with the next boot. Nothing but reading status
# without root needs it.
install-group:
	@[ -n '$(DESTDIR)' ] || ! command -v systemd-sysusers >/dev/null 2>&1 || systemd-sysusers '$(SYSUSERSDIR)/virt-tap.conf'

# The hook goes first, so that libvirt never calls what is half gone. The configuration stays: it is the user's, and so
# does the group, which users are in. Taps in the kernel go on copying; "virt-tap purge" before this ends them.
uninstall: ## remove what install made; keeps /etc/virt-tap
	rm -f '$(DESTDIR)$(HOOKDIR)/virt-tap'
	@if [ -z '$(DESTDIR)' ] && [ -d /run/systemd/system ]; then \
		systemctl disable --now virt-tapd.service virt-tapd.socket || true; \
	fi
	rm -f '$(DESTDIR)$(UNITDIR)/virt-tapd.service' '$(DESTDIR)$(UNITDIR)/virt-tapd.socket'
	rm -f '$(DESTDIR)$(SYSUSERSDIR)/virt-tap.conf'
	@if [ -z '$(DESTDIR)' ] && [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
	rm -f '$(DESTDIR)$(SBINDIR)/virt-tapd' '$(DESTDIR)$(BINDIR)/virt-tap'
	rm -f '$(DESTDIR)$(DEBUGDIR)$(SBINDIR)/virt-tapd.debug' '$(DESTDIR)$(DEBUGDIR)$(BINDIR)/virt-tap.debug'
	rm -f '$(DESTDIR)$(DATADIR)/man/man1/virt-tap.1' '$(DESTDIR)$(DATADIR)/man/man8/virt-tapd.8'
	rm -f '$(DESTDIR)$(DATADIR)/bash-completion/completions/virt-tap' '$(DESTDIR)$(DATADIR)/zsh/vendor-completions/_virt-tap' \
		'$(DESTDIR)$(DATADIR)/fish/vendor_completions.d/virt-tap.fish'
	rm -rf '$(DESTDIR)$(DATADIR)/virt-tap' '$(DESTDIR)$(DATADIR)/doc/virt-tap'
	@[ -n '$(DESTDIR)' ] || $(tidy_uninstalled)

# What the daemon left at run time, and what goes on without it. A daemon that was started by hand has its lock still.
define tidy_uninstalled
{ rm -f /run/virt-tap/hook-timed-out /run/virt-tap/hook-was-slow; if flock -n /run/virt-tap/lock true 2>/dev/null; then rm -f /run/virt-tap/lock; rmdir /run/virt-tap 2>/dev/null || true; fi; \
	count=$$(find /sys/fs/bpf/virt-tap -mindepth 2 -maxdepth 2 -type d 2>/dev/null | wc -l); \
	if [ "$$count" -gt 0 ]; then \
		echo "$$count attachment(s) of taps go on copying in the kernel. They end with their guests, or at a reboot;"; \
		echo '"make install" and "virt-tap purge" end them at once.'; \
	else \
		echo 'Uninstalled; no tap copies any more.'; \
	fi; \
	for port in /sys/class/net/virttap-*; do \
		[ -d "$$port" ] && echo "The device $$(basename "$$port") stays until a reboot; \"ip link del $$(basename "$$port")\" ends it."; \
	done; true; }
endef

fmt: ## format Swift and C in place
	$(SWIFT) format -i -r Sources Tests Benchmarks Plugins Package.swift
	@scripts/deps lint
	clang-format -i $(c_files)

lint: ## check format, documentation of public declarations, shell scripts and links; every warning is an error
	@scripts/deps lint
	SWIFT='$(SWIFT)' scripts/lint-swift Sources Tests Benchmarks Plugins Package.swift
	clang-format --dry-run -Werror $(c_files)
	shellcheck $(shell_files)
	scripts/lint-docs

release-check: ## say what this commit lacks to be released: version, changelog, man pages, tag
	@scripts/release-check

clean: ## remove what was built, the guests' image included
	rm -rf .build .build-lab
