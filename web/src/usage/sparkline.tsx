const width = 72;
const height = 20;

/** A course over time, against a limit: looked at, not read. */
export function Sparkline({
  label,
  values,
  limit,
  className = 'inline-block h-5 w-18 align-middle',
}: {
  label: string;
  values: readonly number[];
  limit: number;
  /** Its size and place. */
  className?: string;
}) {
  const top = Math.max(limit * 0.02, ...values) * 1.15;
  const step = width / Math.max(1, values.length - 1);
  const points = values.map(
    (value, index) => `${(index * step).toFixed(1)},${(height - 1 - (value / top) * (height - 2)).toFixed(1)}`,
  );
  const line =
    points.length === 1 ? `0,${points[0]!.split(',')[1]} ${width},${points[0]!.split(',')[1]}` : points.join(' ');
  return (
    <svg
      role="img"
      aria-label={label}
      viewBox={`0 0 ${width} ${height}`}
      preserveAspectRatio="none"
      className={className}
    >
      <polygon points={`0,${height} ${line} ${width},${height}`} className="fill-accent/15" />
      <polyline points={line} fill="none" className="stroke-accent" strokeWidth="1.5" strokeLinejoin="round" vectorEffect="non-scaling-stroke" />
    </svg>
  );
}
