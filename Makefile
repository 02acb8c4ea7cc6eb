FUZZTIME ?= 60s

.PHONY: help check fuzz e2e opcua answers bench kpis line demo

help: ## what there is to make
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

check: ## every check and test, as CI runs them
	./scripts/test

fuzz: ## each fuzz target for FUZZTIME (default 60s)
	./scripts/fuzz $(FUZZTIME)

e2e: ## the end-to-end tests alone, against pymodbus, libmodbus, node-opcua and mosquitto
	go test -count=1 -parallel 8 -v -run '^TestE2E$$' ./cmd/millgate

opcua: ## twenty cuts of an OPC UA connection of 1,000 items: no value may be missing
	go test -count=1 -v -run '^TestE2E$$/^OPCUACuts$$' ./cmd/millgate -cuts 20

bench: ## what 100 devices of 100 tags cost, each second and every 20 ms; the plan of 10,000 points; 10,000 items of OPC UA (root measures the disk)
	go run ./scripts/bench

kpis: ## what all KPIs of 1,000 pieces of equipment cost at 10,000 readings a second
	go test -run '^$$' -bench '^BenchmarkEngine$$' -benchtime 2400x ./collector/kpi

line: ## six minutes of units of which some are silent: what the others lose
	go run ./scripts/bench -only line

answers: ## a million mangled answers on each kind of link: no value may be wrong
	go test -count=1 -run '^TestNoWrongValue$$' -v ./drivers/modbus -answers 1000000 -timeout 30m

demo: ## a simulated factory, a broker and the gateway in one process
	go run ./cmd/millgate demo
