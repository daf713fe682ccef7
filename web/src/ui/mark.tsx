export function Mark({ className }: { className?: string }) {
  return <img src="/favicon.svg" alt="" className={className} />;
}
