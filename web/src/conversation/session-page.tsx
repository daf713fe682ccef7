export function SessionPage() {
  return <main>session</main>;
}
