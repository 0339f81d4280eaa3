/** Dates: as the server reads them, and as people do. */

export const MONTHS = ["any date", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** The year of a date where the atlas does not know which years its model saw. */
const DEFAULT_YEAR = 2024;
const MONTH_NAMES = new Intl.DateTimeFormat("en", { month: "long", timeZone: "UTC" });

/** A whole hour, such as `08:00`. */
export function hourText(hour: number): string {
  return `${String(hour).padStart(2, "0")}:00`;
}

/** A month (1 to 12, 0 for none) and hour as the server reads them, on the 15th of the last of `years`; null for no month. */
export function momentOf(month: number, hour: number, years: [number, number] | null): string | null {
  if (!month) return null;
  return `${years ? years[1] : DEFAULT_YEAR}-${String(month).padStart(2, "0")}-15T${hourText(hour)}`;
}

/** A moment in full, such as `15 July 2023, 12:00`. */
export function dateText(when: string | null): string {
  if (!when) return "any date";
  const month = MONTH_NAMES.format(new Date(`${when.slice(0, 10)}T00:00Z`));
  return `${Number(when.slice(8, 10))} ${month} ${when.slice(0, 4)}, ${when.slice(11, 16)}`;
}

/** A moment in short, such as `Jul, 12:00`. */
export function shortDate(when: string | null): string {
  return when ? `${MONTHS[Number(when.slice(5, 7))]}, ${when.slice(11, 16)}` : MONTHS[0]!;
}
