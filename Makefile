FUZZTIME ?= 60s

.PHONY: help check fuzz e2e bench demo

help: ## what there is to make
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "  make %-6s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

check: ## every check and test, as CI runs them
	./scripts/test

fuzz: ## each fuzz target for FUZZTIME (default 60s)
	@grep -rl --include='*_test.go' '^func Fuzz' . | while read -r file; do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' $$file); do \
			echo "-- $$target $$(dirname $$file)"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$(dirname $$file) || exit 1; \
		done; \
	done

e2e: ## the end-to-end tests alone, against pymodbus, libmodbus and mosquitto
	go test -count=1 -parallel 8 -v -run '^TestE2E$$' ./cmd/millgate

bench: ## 100 devices of 100 tags each second: CPU, memory, disk and latency (root measures the disk)
	go run ./scripts/bench

demo: ## a simulated factory, a broker and the gateway in one process
	go run ./cmd/millgate demo
