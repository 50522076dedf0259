// Unit tests: pure modules only, no document.
import { defineConfig } from "vitest/config";

export default defineConfig({ test: { include: ["unit/**/*.test.ts"], environment: "node" } });
