/** What the person who runs the tests does without, by name: `npm test -- --without ffmpeg`. Nothing else skips a test. */
export function without(name: 'chromium' | 'curl' | 'ffmpeg' | 'redis' | 'python' | 'root'): boolean {
  return (process.env.SAM3_TEST_WITHOUT ?? '').split(',').includes(name)
}
